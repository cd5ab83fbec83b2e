"""The page in a browser: clicked, typed, on a phone, in the dark, without network."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from oneshot.evaluators.recommended import advise
from oneshot.evaluators.service.describing import cells, neighbours

from oneshot.samplers.uniform import distinct
from oneshot.spaces.darts import ALL as DARTS
from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench101 import ALL as NASBENCH101
from oneshot.spaces.nasbench201 import ALL
from tests.evaluators.service.serving import (
    ARCHS,
    STRINGS,
    Counting,
    Scoring,
    Served,
    accuracy,
    listening,
    score,
    table,
)

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
SIZES = {"desk": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright for Python")
    if CHROMIUM is None:
        pytest.skip(f"needs one of {', '.join(NAMES)}: apt-get install chromium")
    with playwright.sync_playwright() as made:
        opened = made.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A service with 60 known predictions and ground truth."""
    served = Served(tmp_path, truth=table(tmp_path))
    served.store(ARCHS[:60])
    with listening(served.app) as address:
        yield address


@pytest.fixture
def opened(browser: Any):
    """Opens a page of which nothing may fail, and that asks nobody else; it ends with the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def open_page(
        url: str, size: str = "desk", scheme: str = "light", ready: str = "#answer:not(.old)", refused: int = 0
    ) -> Any:
        """`refused` is the status of failures that the test makes, which the browser writes to its console."""
        width, height = SIZES[size]
        own = url.partition("#")[0].removesuffix("/docs")
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)

        def hear(message: Any) -> None:
            if message.type in ("error", "warning") and not (refused and f"status of {refused}" in message.text):
                wrong.append(message.text)

        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(own) else None)
        page.goto(url)
        page.wait_for_selector(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def until(page: Any, ready: Callable[[], bool]) -> None:
    """Waits; Playwright's own way evaluates a string, which the page's policy forbids."""
    for _ in range(300):
        if ready():
            return
        page.wait_for_timeout(50)
    raise AssertionError("never came to be")


def shown(page: Any, arch: tuple[int, ...]) -> None:
    """The page shows this architecture and its prediction."""
    until(page, lambda: page.input_value("#text") == ALL.format(arch))
    page.wait_for_selector("#answer:not(.old)")
    assert page.inner_text("#accuracy") == f"{accuracy(arch):.2f}"


def test_it_starts_with_the_best_known(url: str, opened: Any) -> None:
    page = opened(url)
    accuracies = np.array([accuracy(arch) for arch in ARCHS[:60]])
    best = accuracies[advise(ALL, ARCHS[:60], accuracies).order[0]]
    assert page.inner_text("#accuracy") == f"{best:.2f}"
    rank = int((accuracies > best).sum()) + 1
    assert page.inner_text(".big").endswith(" of 60 known by accuracy")
    assert page.inner_text("#rank").startswith(str(rank))
    page.wait_for_selector("#best-list li")
    assert "live parameters" in page.locator("#best-list li:first-child button").get_attribute("title")
    assert page.locator("#best-list li").count() == 10
    assert page.locator("#best-list [aria-current]").count() == 1
    assert page.inner_text("#place").startswith("1st of those recommended: above ")
    page.click("#best-list li:nth-child(2) button")
    page.wait_for_function("document.getElementById('place').textContent.startsWith('2nd of those recommended')")
    page.wait_for_selector("#scatter .chosen")
    assert page.locator("#scatter .point").count() >= 50
    assert re.search(r"Kendall's tau -?0\.\d+ as recommended, -?0\.\d+ alone", page.inner_text("#scatter-note"))


def test_scores_are_no_accuracies(tmp_path: Path, opened: Any) -> None:
    served = Served(tmp_path, Scoring(), table(tmp_path))
    served.store(ARCHS[:60])
    best = max(map(score, ARCHS[:60]))
    with listening(served.app) as address:
        page = opened(address)
        page.wait_for_selector("#best-list li")
        assert page.inner_text("#accuracy") == f"{best:,.6g}"
        assert page.inner_text("#rank") == "1st"
        assert page.inner_text("#advice") == "By toy score."
        assert "It ranks architectures, and is no accuracy." in page.inner_text("#prediction")
        assert not re.search("supernet|accuracy [(]|95%", page.inner_text("#prediction"))
        listed = page.locator("#best-list b").all_inner_texts()
        assert listed == [f"{value:,.6g}" for value in sorted(map(score, ARCHS[:60]), reverse=True)[:10]]
        assert "toy score" in page.inner_text("#front")
        assert "toy score" in page.inner_text("#scatter")
        page.click("#keep")
        page.click("#random")
        until(page, lambda: " in toy score." in page.inner_text("#compared .verdict"))
        assert "95%" not in page.inner_text("#compared")
        page.click("#improve")
        until(page, lambda: "single changes" in page.inner_text("#changes"))
        assert "points" not in page.inner_text("#changes")


def test_edges_are_clicked(url: str, opened: Any) -> None:
    page = opened(url)
    page.fill("#text", STRINGS[5])
    page.click("#named button")
    arch = list(ARCHS[5])
    shown(page, tuple(arch))
    for place, option in ((3, 1), (0, 4), (5, 0)):
        page.click(f"[data-edge='{place}'] text")
        assert ALL.decisions[place].name in page.inner_text("#options legend")
        page.click(f"#options label:nth-of-type({option + 1})")
        arch[place] = option
        shown(page, tuple(arch))
    drawn = page.locator(".edge text").all_text_contents()
    assert drawn == list(ALL.operations(tuple(arch)))


def test_the_mark_moves_in_both_figures(url: str, opened: Any) -> None:
    page = opened(url)
    page.wait_for_selector("#improvement .chosen")
    places = []
    for i in (5, 9):
        page.fill("#text", STRINGS[i])
        page.press("#text", "Enter")
        shown(page, ARCHS[i])
        places.append([page.get_attribute(f"#{figure} .chosen", "cx") for figure in ("improvement", "scatter")])
    assert places[0][0] != places[1][0]
    assert places[0][1] != places[1][1]


def test_the_keyboard_alone(url: str, opened: Any) -> None:
    page = opened(url)
    before = page.input_value("#text")
    arch = list(ALL.parse(before))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.edge") == "0"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    arch[1] = (arch[1] + 1) % 5
    shown(page, tuple(arch))
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.type") == "radio"
    page.keyboard.press("ArrowDown")
    arch[1] = (arch[1] + 1) % 5
    shown(page, tuple(arch))


def test_the_rank_comes_first(url: str, opened: Any) -> None:
    page = opened(url)
    known = sorted((accuracy(arch) for arch in ARCHS[:60]), reverse=True)
    for i in (3, 41):
        page.fill("#text", STRINGS[i])
        page.press("#text", "Enter")
        shown(page, ARCHS[i])
        rank = known.index(accuracy(ARCHS[i])) + 1
        ends = {1: "st", 2: "nd", 3: "rd"}
        ordinal = f"{rank}{'th' if rank in (11, 12, 13) else ends.get(rank % 10, 'th')}"
        assert page.inner_text(".big") == f"{ordinal} of 60 known by accuracy"
        lower = sum(other < accuracy(ARCHS[i]) for other in known)
        assert f"better than {100 * lower // 59}% of the others" in page.inner_text("#better")
        facts = page.inner_text("#facts")
        assert f"{ALL.cost(ARCHS[i]).params:,}" in facts
        assert facts.startswith("in the supernet")
    assert "ends at another accuracy" in page.inner_text("#prediction .note")


def test_points_of_the_front_are_chosen(url: str, opened: Any) -> None:
    page = opened(url)
    page.wait_for_selector("#front .front-point")
    page.select_option("#cost", label="multiply-adds")
    page.focus("#front .front-point[tabindex='0']")
    page.keyboard.press("ArrowLeft")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    until(page, lambda: page.inner_text("#accuracy") == label.split(" %")[0])
    assert label.split(", ")[1].removesuffix(" multiply-adds") in page.inner_text("#facts")
    page.wait_for_selector("#answer:not(.old)")
    before = page.input_value("#text")
    points = page.locator("#front .point").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.x + b.width / 2, b.y + b.height / 2])"
    )
    page.mouse.click(*points[len(points) // 2])
    until(page, lambda: page.input_value("#text") != before)


def test_two_beside_each_other(url: str, opened: Any) -> None:
    page = opened(f"{url}/#arch={STRINGS[3]}")
    shown(page, ARCHS[3])
    page.click("#keep")
    page.fill("#text", STRINGS[7])
    page.press("#text", "Enter")
    shown(page, ARCHS[7])
    page.wait_for_selector("#comparison .sketch")
    by = accuracy(ARCHS[7]) - accuracy(ARCHS[3])
    assert f"{abs(by):.2f} points" in page.inner_text(".verdict")
    rows = {row.split("\t")[0]: row.split("\t")[1:] for row in page.inner_text("#comparison tbody").splitlines() if row}
    pairs = zip(ALL.decisions, ALL.operations(ARCHS[3]), ALL.operations(ARCHS[7]), strict=True)
    differing = {d.name: [a, b] for d, a, b in pairs if a != b}
    assert {name: row for name, row in rows.items() if name.startswith("edge")} == differing
    address = page.url
    page.click("#swap")
    shown(page, ARCHS[3])
    page.click("#drop")
    assert page.locator("#comparison").is_hidden()
    again = opened(address)
    shown(again, ARCHS[7])
    again.wait_for_selector("#comparison .sketch")
    assert f"{abs(by):.2f} points" in again.inner_text(".verdict")


def test_the_best_single_change(url: str, opened: Any) -> None:
    page = opened(f"{url}/#arch={STRINGS[30]}")
    shown(page, ARCHS[30])
    page.click("#improve")
    page.wait_for_selector("#changes p")
    origin, found = ARCHS[30], page.locator("#changes button")
    best = max(accuracy(arch) for _, _, arch in neighbours(ALL, origin))
    assert best > accuracy(origin)
    assert f"+{best - accuracy(origin):.2f} points" in found.first.inner_text()
    found.first.click()
    until(page, lambda: page.inner_text("#accuracy") == f"{best:.2f}")


def test_what_is_copied_works(url: str, opened: Any) -> None:
    page = opened(f"{url}/#arch={STRINGS[5]}")
    shown(page, ARCHS[5])

    def copied(name: str) -> str:
        page.click("#copy summary")
        page.click(f"#copy button:has-text('{name}')")
        until(page, lambda: page.inner_text("#status") == f"{name} copied")
        return page.evaluate("navigator.clipboard.readText()")

    assert copied("String") == STRINGS[5]
    names: dict[str, Any] = {}
    exec(compile(copied("Python").replace("print(", "found = ("), "copied", "exec"), names)
    assert names["found"].tolist() == [accuracy(ARCHS[5])]
    words = shlex.split(copied("curl"))
    assert words[0] == "curl"
    assert words[-1] == json.dumps({"architectures": [STRINGS[5]]}, separators=(",", ":"))
    headers = dict(word.split(": ") for flag, word in itertools.pairwise(words) if flag == "-H")
    answer = httpx.post(words[2], content=words[-1], headers=headers)
    assert answer.json()["predictions"][0]["arch"] == STRINGS[5]
    other = opened(copied("Link"))
    shown(other, ARCHS[5])


def test_a_link_that_is_pasted(url: str, opened: Any) -> None:
    page = opened(url)
    page.evaluate("arch => { location.hash = `arch=${encodeURIComponent(arch)}`; }", STRINGS[11])
    shown(page, ARCHS[11])


def served_space(folder: Path, space: Any) -> Served:
    """With 12 known predictions."""
    served = Served(folder, Counting(space))
    served.store(distinct(space, 12, np.random.default_rng(0)))
    return served


@pytest.mark.parametrize("space", [DARTS, NASBENCH101, FAIRNAS], ids=lambda space: space.name)
def test_drawings_of_other_spaces(space: Any, tmp_path: Path, opened: Any) -> None:
    with listening(served_space(tmp_path, space).app) as url:
        page = opened(url, "phone")
        page.wait_for_selector("#best-list .sketch")
        page.wait_for_selector("#drawing svg")
        drawn = page.locator("#best-list .sketch").evaluate_all("all => all.map(e => e.innerHTML)")
        assert len(drawn) == 10
        titles = page.locator("#drawing h3").all_text_contents()
        assert (
            titles == {"darts": ["normal cell", "reduction cell"], "nasbench101": ["cell"], "fairnas": []}[space.name]
        )
        labels = page.locator("#best-list button").evaluate_all("all => all.map(e => e.getAttribute('aria-label'))")
        archs = [space.parse(label.partition(": ")[2]) for label in labels]
        assert len(set(drawn)) == len({str(cells(space, arch)) if titles else arch for arch in archs}) >= 8
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for _ in range(3):
            before = page.input_value("#text")
            page.click("#random")
            until(page, lambda before=before: page.input_value("#text") != before)


def test_the_first_drawing_comes_at_once(url: str, opened: Any) -> None:
    page, times = opened(url), []
    for _ in range(4):
        start = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_selector("#drawing svg .edge text")
        times.append(time.perf_counter() - start)
    assert min(times) < 1


CONTROLS = """() => [...document.querySelectorAll('input, select, textarea, button, summary, [role=button]')]
  .filter(e => e.checkVisibility())
  .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim()
    || [...(e.labels ?? [])].some(label => label.textContent.trim())))
  .map(e => e.outerHTML)"""
"""Controls that are seen and have no name."""

FAINT = r"""() => {
  const rgb = text => (text.match(/[\d.]+/g) ?? []).map(Number);
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const behind = e => {
    for (let at = e; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('title, option, script')) continue;
    const style = getComputedStyle(e), on = e.matches('.node-name') ? e.parentElement.querySelector('.node') : null;
    const ink = rgb(e.tagName === 'text' ? style.fill : style.color);
    const ground = on ? rgb(getComputedStyle(on).fill) : behind(e);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a), ratio = (high + .05) / (low + .05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${e.outerHTML.slice(0, 80)}`);
  }
  return faint;
}"""
"""Words that stand out less than 4.5 to 1 (WCAG 2, AA)."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_widths_colours_and_labels(url: str, opened: Any, size: str, scheme: str) -> None:
    page = opened(url, size, scheme)
    page.wait_for_selector("#scatter svg")
    page.click("#keep")
    page.click("#best-list li:nth-child(4) button")
    page.wait_for_selector("#comparison .sketch")
    page.click("#improve")
    page.wait_for_selector("#changes p")
    page.click("#copy summary")
    page.wait_for_timeout(300)  # transitions
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    ink, ground = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    assert (sum(map(int, ground[4:-1].split(","))) < sum(map(int, ink[4:-1].split(",")))) == (scheme == "dark")
    assert page.evaluate(FAINT) == []
    assert page.evaluate(CONTROLS) == []
    for box in page.locator("button:visible, summary:visible, select:visible, .edge .hit").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.left, b.right])"
    ):
        assert box[0] >= 0
        assert box[1] <= SIZES[size][0]


def test_errors_are_said(url: str, opened: Any) -> None:
    page = opened(url, refused=422)
    page.fill("#text", "no cell")
    page.press("#text", "Enter")
    page.wait_for_selector("#status.error")
    assert "'no cell' is no NAS-Bench-201 string" in page.inner_text("#status")
    page.click("#best")
    page.wait_for_selector("#status:not(.error)", state="attached")


def test_a_space_without_edges_is_a_list(tmp_path: Path, opened: Any) -> None:
    with listening(Served(tmp_path, Counting(FAIRNAS)).app) as url:
        page = opened(url, "phone")
        assert page.locator("#decisions select").count() == 19
        page.locator("#decisions select").nth(2).select_option(label="k7e6")
        until(page, lambda: page.input_value("#text").split("-")[2:3] == ["k7e6"])
        until(page, lambda: "--benchmark" in page.inner_text("#scatter-note"))


def test_a_token_is_asked_for(tmp_path: Path, opened: Any) -> None:
    with listening(Served(tmp_path, token="secret").app) as url:
        page = opened(url, ready="#token:not([hidden])", refused=401)
        page.fill("#token-text", "secret")
        page.press("#token-text", "Enter")
        page.wait_for_selector("#answer:not([hidden])")
        assert page.locator("#token").is_hidden()


def test_the_interface_is_described(url: str, opened: Any) -> None:
    page = opened(url + "/docs", ready="#operations section")
    assert "POST /v1/predictions" in page.inner_text("#operations")
