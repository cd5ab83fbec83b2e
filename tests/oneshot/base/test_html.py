"""Small tables and drawings of a notebook."""

import xml.etree.ElementTree as ET

from oneshot.base.html import beside, curve, html_table

SVG = "{http://www.w3.org/2000/svg}"


def test_a_table_escapes_what_it_is_given():
    page = html_table(["<a>"], [["b & c", "first\nsmall <d>"]], "e < f")
    for part in ("<th>&lt;a&gt;</th>", "<td>b &amp; c</td>", "first<br><small>small &lt;d&gt;</small>", "e &lt; f"):
        assert part in page
    assert "<thead>" not in html_table([], [["a"]], "")


def test_a_curve_goes_from_its_first_value_to_its_last():
    drawn = ET.fromstring(curve([2.5, 4.0, 1.0], "loss"))
    (line,) = drawn.iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[1][1] < points[0][1] < points[2][1]  # down is more in SVG
    assert [text.text for text in drawn.iter(f"{SVG}text")] == ["loss", "2.5", "1"]
    ET.fromstring(curve([3.0], "one value"))
    ET.fromstring(curve([3.0, 3.0], "a constant"))


def test_parts_beside_each_other_leave_out_what_is_empty():
    assert beside("a", "", "b").count('<div style="max-width') == 2
