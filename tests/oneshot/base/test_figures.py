"""The look that all figures share."""

import sys

from matplotlib.colors import to_hex

from oneshot.base.figures import INK, legend_below, new_figure, new_panels, styled


def test_a_figure_has_the_shared_look_and_no_window(tmp_path):
    figure, axes = new_figure(3, 2)
    assert tuple(figure.get_size_inches()) == (3, 2)
    assert not axes.spines["top"].get_visible()
    assert to_hex(axes.spines["left"].get_edgecolor()) == INK.lower()
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_axes_of_ones_own_are_styled_and_a_legend_goes_below_them():
    _, (left, right) = new_panels(1, 2, 6, 3)
    assert styled(left) is left
    left.plot([0, 1], [0, 1], label="one")
    legend_below(left)
    assert left.get_legend() is not None
    assert not left.figure.legends
    assert right.get_legend() is None
    figure, alone = new_figure()
    alone.plot([0, 1], [0, 1], label="one")
    legend_below(alone)
    assert alone.get_legend() is None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one"]


def test_a_figure_without_axes_is_pyplot_s_where_that_is_in_use(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    styled(None)
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    try:
        figures = pyplot.get_fignums()
        assert styled(None, 3, 2).figure is pyplot.gcf()
        assert len(pyplot.get_fignums()) == len(figures) + 1
    finally:
        pyplot.close("all")
