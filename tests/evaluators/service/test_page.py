"""The page in a browser: clicked, typed, on a phone, in the dark, without network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oneshot.evaluators.recommended import advise

from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench201 import ALL
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, accuracy, listening, table

CHROMIUM = shutil.which("chromium")
SIZES = {"desk": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright for Python")
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian's package)")
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

    def open_page(url: str, size: str = "desk", scheme: str = "light", ready: str = "#answer:not(.old)") -> Any:
        width, height = SIZES[size]
        own = url.removesuffix("/docs")
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
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
    page.wait_for_selector("#best-list small")
    assert "live parameters" in page.inner_text("#best-list li:first-child small")
    page.wait_for_selector("#facts dd")
    assert f"{(accuracies > best).sum() + 1} of 60 known" in page.inner_text("#facts")
    assert page.locator("#best-list li").count() == 8
    assert page.locator("#best-list [aria-current]").count() == 1
    page.wait_for_selector("#scatter .chosen")
    assert page.locator("#scatter .point").count() >= 50
    assert re.search(r"Kendall's tau -?0\.\d+ as recommended, -?0\.\d+ alone", page.inner_text("#scatter-note"))


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_widths_and_colours(url: str, opened: Any, size: str, scheme: str) -> None:
    page = opened(url, size, scheme)
    page.wait_for_selector("#scatter svg")
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    colours = [page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")]
    ink, ground = (sum(int(part) for part in colour[4:-1].split(",")) for colour in colours)
    assert abs(ink - ground) > 450
    assert (ground < ink) == (scheme == "dark")
    for box in page.locator("button:visible, .edge .hit").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.left, b.right])"
    ):
        assert box[0] >= 0
        assert box[1] <= SIZES[size][0]


def test_errors_are_said(url: str, opened: Any) -> None:
    page = opened(url)
    page.fill("#text", "no cell")
    page.press("#text", "Enter")
    page.wait_for_selector("#status.error")
    assert "'no cell' is no NAS-Bench-201 string" in page.inner_text("#status")
    page.click("#best")
    page.wait_for_selector("#status:not(.error)")


def test_a_space_without_edges_is_a_list(tmp_path: Path, opened: Any) -> None:
    with listening(Served(tmp_path, Counting(FAIRNAS)).app) as url:
        page = opened(url, "phone")
        assert page.locator("#decisions select").count() == 19
        page.locator("#decisions select").nth(2).select_option(label="k7e6")
        until(page, lambda: page.input_value("#text").split("-")[2:3] == ["k7e6"])
        until(page, lambda: "--benchmark" in page.inner_text("#scatter-note"))


def test_a_token_is_asked_for(tmp_path: Path, opened: Any) -> None:
    with listening(Served(tmp_path, token="secret").app) as url:
        page = opened(url, ready="#token:not([hidden])")
        page.fill("#token-text", "secret")
        page.press("#token-text", "Enter")
        page.wait_for_selector("#answer:not([hidden])")
        assert page.locator("#token").is_hidden()


def test_the_interface_is_described(url: str, opened: Any) -> None:
    page = opened(url + "/docs", ready="#operations section")
    assert "POST /v1/predictions" in page.inner_text("#operations")
