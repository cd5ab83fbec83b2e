"""`oneshot data subset`: the command as a user gives it."""

from __future__ import annotations

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
