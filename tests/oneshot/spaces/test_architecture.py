"""An architecture as an object, and how it shows itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from oneshot.registry import SPACES
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.architecture import Architecture
from oneshot.spaces.drawing import choices_svg, plot_cell

STRING = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
DRAWN = ("nasbench201", "nasbench101", "darts", "fairnas")
SVG = "{http://www.w3.org/2000/svg}"


def words_of(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]


def test_it_is_made_of_a_string_or_of_options() -> None:
    space = SPACES["nasbench201"]
    one = Architecture(space, STRING)
    assert one == Architecture(space, space.parse(STRING))
    assert str(one) == STRING
    assert list(one.options.values()) == list(space.operations(one.arch))
    assert one.facts == space.facts(one.arch)
    with pytest.raises(ValueError, match="is no NAS-Bench-201 string"):
        Architecture(space, "x")
    with pytest.raises(ValueError, match="expected"):
        Architecture(space, (0, 9, 0, 0, 0, 0))


def test_a_cell_is_drawn_with_its_operations_and_nodes() -> None:
    words = words_of(Architecture(SPACES["nasbench201"], STRING).drawing())
    operations = [word for word in words if "_" in word]
    assert sorted(operations) == ["nor_conv_1x1", "nor_conv_3x3", "nor_conv_3x3", "skip_connect"]
    assert len(words) - len(operations) == 4


def test_what_is_no_graph_is_drawn_as_its_options() -> None:
    space = SPACES["fairnas"]
    arch = Uniform(space).draw(1, np.random.default_rng(0))[0]
    svg = Architecture(space, arch).drawing()
    assert svg == choices_svg(space, arch)
    assert words_of(svg) == [word for decision in space.decisions for word in (decision.name, *decision.options)]
    chosen = [rect for rect in ET.fromstring(svg).iter(f"{SVG}rect") if rect.get("fill") != "none"]
    assert len(chosen) == len(space.decisions)


@pytest.mark.parametrize("name", DRAWN)
def test_every_space_shows_itself(name: str) -> None:
    space = SPACES[name]
    for arch in Uniform(space).draw(3, np.random.default_rng(0)):
        page = Architecture(space, arch)._repr_html_()
        assert "<svg" in page
        assert "<table>" in page
        ET.fromstring(page.replace("<br>", "<br/>"))


def test_a_cell_is_plotted_by_its_title() -> None:
    space = SPACES["darts"]
    arch = Uniform(space).draw(1, np.random.default_rng(0))[0]
    titles = [plot_cell(space, arch, title).get_title(loc="left") for title in ("", "reduction cell")]
    assert titles == ["normal cell", "reduction cell"]
    with pytest.raises(ValueError, match="darts has no cell 'other'; there are normal cell, reduction cell"):
        plot_cell(space, arch, "other")
    with pytest.raises(ValueError, match="architectures of fairnas are not drawn"):
        Architecture(SPACES["fairnas"], next(iter(SPACES["fairnas"]))).plot()
