"""Data sets as people have them: tar shards, Hugging Face's, torchvision's; each gives what a folder gives."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from oneshot.data.augmentation import Augmentation
from oneshot.data.load import load
from oneshot.data.source import Dataset, training_batches

COUNT = {"train": 12, "test": 6}


def picture(i: int) -> Image.Image:
    pixels = np.random.default_rng(i).integers(256, size=(8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(i: int) -> bytes:
    made = io.BytesIO()
    picture(i).save(made, "PNG")
    return made.getvalue()


def rows(part: str) -> range:
    return range(COUNT[part]) if part == "train" else range(100, 100 + COUNT[part])


def tar(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def shards(root: Path) -> str:
    """Two shards to train on and one to test on, labels beside the images."""
    for part in COUNT:
        halves = [rows(part)[:6], rows(part)[6:]]
        for number, half in enumerate(filter(len, halves)):
            files = {}
            for i in half:
                files |= {f"{i:03d}.png": png(i), f"{i:03d}.cls": str(i % 3).encode()}
            tar(root / "shards" / f"{part}-{number:03d}.tar", files)
    return str(root / "shards")


def table(part: str):
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    values = {
        "image": [{"bytes": png(i), "path": f"{i:03d}.png"} for i in rows(part)],
        "label": [i % 3 for i in rows(part)],
    }
    return datasets.Dataset.from_dict(values, features=kinds)


def saved(root: Path) -> str:
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict({part: table(part) for part in COUNT}).save_to_disk(str(root / "saved"))
    return str(root / "saved")


def parquet(root: Path) -> str:
    (root / "hub" / "data").mkdir(parents=True)
    for part in COUNT:
        table(part).to_parquet(root / "hub" / "data" / f"{part}-00000-of-00001.parquet")
    return str(root / "hub")


def folder(root: Path) -> str:
    for part in COUNT:
        for i in rows(part):
            path = root / "folder" / part / "abc"[i % 3] / f"{i:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(i))
    return str(root / "folder")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("datasets") is None:
        return
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("write", [shards, saved, parquet, folder])
def test_each_gives_the_same_images(write: Callable[[Path], str], tmp_path: Path) -> None:
    dataset = load(write(tmp_path), image_size=8)
    assert dataset.classes == 3
    for part, images in {"train": dataset.pool, "test": dataset.test}.items():
        assert len(images) == COUNT[part]
        pixels = images.in_memory().pixels.numpy()
        labels = images.labels.tolist()
        by_content = {np.asarray(picture(i)).tobytes(): i % 3 for i in rows(part)}
        assert {image.tobytes(): label for image, label in zip(pixels, labels, strict=True)} == by_content
        assert images.sizes().tolist() == [len(png(i)) for i in order(write, part)]
    if write is not folder:
        assert dataset.class_names == (("0", "1", "2") if write is shards else ("a", "b", "c"))


def order(write: Callable[[Path], str], part: str) -> list[int]:
    return sorted(rows(part), key=lambda i: (i % 3, i)) if write is folder else list(rows(part))


@pytest.mark.parametrize("write", [shards, saved])
def test_workers_read_the_same_batches_and_what_is_known_by_names_keeps_its_side(
    write: Callable[[Path], str], tmp_path: Path
) -> None:
    dataset: Dataset = load(write(tmp_path), image_size=8)
    train, valid = dataset.split("half")
    assert len(train) + len(valid) == COUNT["train"]
    assert set(train.keys()) | set(valid.keys()) == set(dataset.pool.keys())
    augmentation = Augmentation(shift=1, flip=True)
    each = [
        [x for x, _ in training_batches(source, 3, augmentation, np.random.default_rng(0))]
        for source in (with_workers(train, 0), with_workers(train, 2))
    ]
    assert all(torch.equal(a, b) for a, b in zip(*each, strict=True))
    assert len(train.plus(valid)) == COUNT["train"]
    assert dataset.fingerprint().parts["train"].images == COUNT["train"]


def with_workers(images, workers: int):
    return replace(images, workers=workers)


def test_what_webdataset_writes(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    (tmp_path / "web").mkdir()
    with webdataset.ShardWriter(str(tmp_path / "web" / "train-%03d.tar"), maxcount=20, verbose=0) as sink:
        for i in range(40):
            sink.write({"__key__": f"sample{i:03d}", "png": picture(i), "json": {"label": i % 2, "of": i}})
    dataset = load(str(tmp_path / "web"), image_size=8)
    assert len(dataset.pool) + len(dataset.test) == 40
    assert dataset.format == "shards"
    assert not dataset.pool.unreadable()


def test_folders_in_archives_are_classes(tmp_path: Path) -> None:
    files = {f"{'cat' if i % 2 else 'dog'}/{i}.png": png(i) for i in range(8)}
    tar(tmp_path / "set" / "train.tar", files)
    tar(tmp_path / "set" / "val" / "0.tar", {"./cat/x.png": png(50)})
    dataset = load(str(tmp_path / "set"), image_size=8)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.valid is dataset.test
    assert dataset.test.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.png": b"x", "a.cls": b"one"}, "a.cls must hold the number of a class, got b'one'"),
        ({"a.png": b"x", "a.cls": b"-1"}, "a.cls must hold the number of a class, got -1"),
        ({"a.png": b"x", "a.json": b"[1]"}, "a.json must hold the number of a class"),
        ({"a.png": b"x", "a.cls": b"0", "b.png": b"x"}, "b.png has no label beside it"),
        ({"a.png": b"x", "a.cls": b"0", "b.png": b"x", "b.cls": b"0"}, "expected images of two classes at least"),
        ({"a.txt": b"x"}, "no image in the shards of train"),
    ],
)  # fmt: skip
def test_shards_that_cannot_be_read(files: dict[str, bytes], says: str, tmp_path: Path) -> None:
    tar(tmp_path / "set" / "train-0.tar", files)
    with pytest.raises(ValueError, match="set") as error:
        load(str(tmp_path / "set"))
    assert says in str(error.value)


def test_a_damaged_archive_and_a_damaged_image(tmp_path: Path) -> None:
    shards(tmp_path)
    broken = tar(tmp_path / "shards" / "train-009.tar", {"x.png": b"nothing", "x.cls": b"1"})
    dataset = load(str(tmp_path / "shards"), image_size=8)
    (line,) = dataset.pool.unreadable()
    assert line == f"{broken}: x.png: no kind of image that is known"
    broken.write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match="no readable tar archive"):
        load(str(tmp_path / "shards"))


def test_columns_are_found_or_named(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features({"img": datasets.Image(), "fine": datasets.ClassLabel(names=["a", "b"]),
                               "coarse": datasets.ClassLabel(names=["x", "y"])})  # fmt: skip
    values = {
        "img": [{"bytes": png(i), "path": None} for i in range(40)],
        "fine": [0, 1] * 20,
        "coarse": [1] * 20 + [0] * 20,
    }
    datasets.Dataset.from_dict(values, features=kinds).save_to_disk(str(tmp_path / "two"))
    path = tmp_path / "two"
    with pytest.raises(ValueError, match=r"one column of labels, got \['fine', 'coarse'\]: name it, .*two::COLUMN"):
        load(str(path))
    with pytest.raises(ValueError, match="no column 'finer'; there are fine, coarse"):
        load(f"{path}::finer")
    assert load(f"{path}::coarse", image_size=8).class_names == ("x", "y")
    datasets.Dataset.from_dict({"text": ["a"] * 4, "label": [0, 1] * 2}).save_to_disk(str(tmp_path / "text"))
    with pytest.raises(ValueError, match="expected one column of images"):
        load(str(tmp_path / "text"))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ValueError, match="no data set that `datasets` can read"):
        load(str(tmp_path / "broken.parquet"))


def test_images_without_names_are_known_by_their_content(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    values = {"image": [png(i) for i in range(30)], "label": [i % 2 for i in range(30)]}
    datasets.Dataset.from_dict(values).to_parquet(tmp_path / "mine.parquet")
    datasets.Dataset.from_dict({name: each[::-1] for name, each in values.items()}).to_parquet(
        tmp_path / "back.parquet"
    )
    first, second = (load(str(tmp_path / name), image_size=8) for name in ("mine.parquet", "back.parquet"))
    assert set(first.pool.keys()) == set(second.pool.keys())
    assert set(first.split("half")[0].keys()) == set(second.split("half")[0].keys())


def test_torchvision_by_name(tmp_path: Path) -> None:
    root = tmp_path / "cifar-10-batches-py"
    root.mkdir()
    from torchvision.datasets import CIFAR10

    pixels = np.random.default_rng(0).integers(256, size=(6, 10, 3072), dtype=np.uint8)
    for (name, _), images in zip((*CIFAR10.train_list, *CIFAR10.test_list), pixels, strict=True):
        (root / name).write_bytes(pickle.dumps({"data": images, "labels": list(range(10))}))
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    with pytest.raises(ValueError, match=r"torchvision's CIFAR10 is not in .*: Dataset not found or corrupted"):
        load("torchvision:CIFAR10", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CIFAR10, "_check_integrity", lambda self: True)
        patch.setattr("torchvision.datasets.cifar.check_integrity", lambda *given: True)
        dataset = load("torchvision:CIFAR10", tmp_path, image_size=32)
    assert (len(dataset.pool), len(dataset.test), dataset.class_names) == (50, 10, tuple("abcdefghij"))
    found = dataset.pool.in_memory().pixels[3].numpy()
    assert np.array_equal(found, pixels[0, 3].reshape(3, 32, 32).transpose(1, 2, 0))
    with pytest.raises(ValueError, match=r"torchvision has no data set 'CIFAR11'; did you mean CIFAR10"):
        load("torchvision:CIFAR11", tmp_path)


def test_what_lies_in_a_json_beside_an_image_need_not_be_a_label(tmp_path: Path) -> None:
    files = {}
    for i in range(4):
        files |= {f"{'ab'[i % 2]}/{i}.png": png(i), f"{'ab'[i % 2]}/{i}.json": json.dumps({"width": 8}).encode()}
    tar(tmp_path / "set" / "train.tar", files)
    tar(tmp_path / "set" / "test.tar", {"a/9.png": png(9)})
    assert load(str(tmp_path / "set"), image_size=8).class_names == ("a", "b")
