"""Subsets of image folders: who is chosen, by what, and what is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oneshot.base.files import read_json
from oneshot.data.listing import image_files
from oneshot.data.subset import Protocol, choose, write_subset

COUNTS = {"ant": 9, "bee": 12, "cat": 5, "dog": 10, "emu": 9, "fox": 30}
SMALL = Protocol(classes=3, train=5, valid=4, seed=1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six classes, every file with its own content, those of `fox` a folder deeper as in some data sets."""
    for name, count in COUNTS.items():
        for i in range(count):
            path = tmp_path / "all" / name / ("images" if name == "fox" else "") / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {i}")
    (tmp_path / "all" / "bee" / "notes.txt").write_text("no image")
    return tmp_path / "all"


def named(chosen: dict[str, dict[str, list[str]]], part: str) -> set[tuple[str, str]]:
    return {(name, file) for name, files in chosen[part].items() for file in files}


def test_the_protocol_of_the_paper() -> None:
    """arXiv 2104.11522, section 3.1.2: 50,000 images."""
    protocol = Protocol()
    assert protocol.parts == {"train": 250, "valid": 250}
    assert protocol.classes * sum(protocol.parts.values()) == 50_000


def test_parts_are_disjoint_and_as_large_as_asked(source: Path) -> None:
    chosen = choose(source, Protocol(2, 4, 3, 2, seed=5))
    assert [[len(files) for files in chosen[part].values()] for part in chosen] == [[4, 4], [3, 3], [2, 2]]
    assert len({tuple(classes) for classes in chosen.values()}) == 1
    assert len(set.union(*(named(chosen, part) for part in chosen))) == 18


def test_the_seed_alone_decides(source: Path) -> None:
    assert choose(source, SMALL) == choose(source, SMALL)
    classes = {tuple(choose(source, Protocol(3, 5, 4, seed=seed))["train"]) for seed in range(60)}
    assert {name for each in classes for name in each} == {"ant", "bee", "dog", "emu", "fox"}  # cat has too few
    assert len(classes) == 10, "every three of the five turn up"
    images = {tuple(choose(source, Protocol(5, 5, 4, seed=seed))["train"]["fox"]) for seed in range(20)}
    assert len(images) == 20


def test_a_class_keeps_its_images_whatever_else_is_drawn(source: Path) -> None:
    whole, part = choose(source, Protocol(5, 5, 4, seed=1)), choose(source, SMALL)
    assert all(whole[p][name] == files for p in part for name, files in part[p].items())
    assert whole["train"]["ant"] != whole["train"]["emu"], "classes of one size share no order"


@pytest.mark.parametrize("link", [False, True])
def test_files_are_copied_or_linked_and_recorded(source: Path, tmp_path: Path, link: bool) -> None:
    told: list[int] = []
    out = write_subset(source, tmp_path / "new" / "subset", SMALL, link, on_image=lambda: told.append(1))
    assert len(told) == 27
    record = read_json(out / "subset.json")
    assert (record["source"], record["classes"], record["seed"]) == ("all", 3, 1)
    assert record["images"] == choose(source, SMALL)
    for part, classes in record["images"].items():
        for name, files in classes.items():
            assert image_files(out / part / name) == files
            for file in files:
                assert (out / part / name / file).read_text() == (source / name / file).read_text()
                assert os.path.samefile(out / part / name / file, source / name / file) == link
    assert sorted(p.name for p in out.iterdir()) == ["subset.json", "train", "valid"]
    with pytest.raises(ValueError, match="subset exists; choose another folder"):
        write_subset(source, out, SMALL)


def test_a_stop_leaves_nothing_and_the_next_run_is_whole(source: Path, tmp_path: Path) -> None:
    steps: Iterator[None] = iter([None] * 10)
    with pytest.raises(StopIteration):
        write_subset(source, tmp_path / "subset", SMALL, on_image=lambda: next(steps))
    assert [p.name for p in tmp_path.iterdir()] == ["all"]
    (tmp_path / ".subset.tmp" / "train" / "ant").mkdir(parents=True)  # of a run that was killed
    (tmp_path / ".subset.tmp" / "train" / "ant" / "odd.jpg").write_text("")
    out = write_subset(source, tmp_path / "subset", SMALL)
    assert sum(len(image_files(out / part)) for part in ("train", "valid")) == 27
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all", "subset"]


def test_too_few(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 3 classes with at least 12 images, got 2 of the 6 folders"):
        choose(source, Protocol(3, 6, 6))
    with pytest.raises(ValueError, match="nothing is no folder"):
        choose(tmp_path / "nothing", SMALL)
    with pytest.raises(ValueError, match="expected positive numbers of classes and images"):
        Protocol(train=0)
