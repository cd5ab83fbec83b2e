"""`oneshot data subset` and `oneshot data check`: the commands as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from oneshot.cli import main
from oneshot.data.folder import load_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / "all" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (6, 4), (i, i, i)).save(tmp_path / "all" / name / f"{i}.png")
    return tmp_path / "all"


def test_a_subset_opens_as_a_data_set(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"data subset {source} {tmp_path}/small --classes 2 --train 3 --valid 1 --test 1 --seed 4"
    assert main(words.split()) == 0
    assert "small: 6 in train/, 2 in valid/, 2 in test/, 2 classes" in capsys.readouterr().out
    dataset = load_folder(tmp_path / "small", 4, workers=0)
    assert [len(part) for part in (*dataset.split("given"), dataset.test)] == [6, 2, 2]
    greys = {tuple(image.flatten().tolist()[:1]) for image in dataset.pool.in_memory().pixels}
    assert len(greys) >= 3


def test_bad_input_is_one_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "subset", str(source), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "expected 100 classes with at least 500 images, got 0 of the 3 folders" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_help_ends_with_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "subset", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text[text.rindex("example:") :].startswith("example: oneshot data subset imagenet/train subimagenet")


def test_unbalanced_classes_give_what_they_have(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(5, 40):
        Image.new("RGB", (6, 4), (i, i, i)).save(source / "a" / f"{i}.png")
    words = f"data subset {source} {tmp_path}/small --classes 3 --train 20 --valid 5 --at-most"
    assert main(words.split()) == 0
    assert "small: 28 in train/, 7 in valid/, 3 classes" in capsys.readouterr().out
    counts = load_folder(tmp_path / "small", 4, workers=0).fingerprint("valid-is-test").parts
    assert (counts["train"].of_classes, counts["valid"].of_classes) == ((20, 4, 4), (5, 1, 1))
    assert main(words.replace("small", "other").replace(" --at-most", "").split()) == 2


def test_a_check_says_what_a_data_set_is(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(source), "--split", "half"]) == 0
    said = capsys.readouterr().out
    assert "all: folder, 3 classes: a, b, c" in said
    assert "split half: " in said
    assert main(["data", "check", "digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["parts"]["test"]["images"], found["unreadable"]) == ("digits", 500, [])


def test_a_check_names_every_image_that_cannot_be_read(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/1.png", "b/2.png", "c/3.png"):
        (source / name).write_bytes((source / name).read_bytes()[:50])
    assert main(["data", "check", str(source)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert sorted(line.split(": ")[0] for line in said[:3]) == [
        str(source / n) for n in ("a/1.png", "b/2.png", "c/3.png")
    ]
    assert said[3] == "oneshot data: 3 of 15 images cannot be read"
