"""The look that all figures share."""

from matplotlib.colors import to_hex

from oneshot.base.figures import INK, new_figure


def test_a_figure_has_the_shared_look_and_no_window(tmp_path):
    figure, axes = new_figure(3, 2)
    assert tuple(figure.get_size_inches()) == (3, 2)
    assert not axes.spines["top"].get_visible()
    assert to_hex(axes.spines["left"].get_edgecolor()) == INK.lower()
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
