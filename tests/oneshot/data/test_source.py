"""Data sets, splits and augmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oneshot.data.arrays import KEYS, save
from oneshot.data.augmentation import Augmentation
from oneshot.data.load import fetch, load
from oneshot.data.source import Dataset, Images, augment, training_batches


def arrays(n: int = 40, size: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    labels = np.arange(n, dtype=np.uint8) % 4
    return dict(zip(KEYS, (images, labels, images[: n // 2], labels[: n // 2]), strict=True))


def images(n: int = 8, size: int = 6) -> Images:
    pixels = torch.randint(1, 256, (n, size, size, 3), dtype=torch.uint8)
    return Images(pixels, torch.arange(n), torch.zeros(3), torch.ones(3))


def draws(**rows: float) -> torch.Tensor:
    """Uniform draws [5, 1]: flip, row shift, column shift, cutout row, cutout column."""
    return torch.tensor([[rows.get(k, 0.0)] for k in ("flip", "row", "column", "cut_row", "cut_column")])


def test_digits_are_real_and_split_apart(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    train, valid = digits.split("half")
    assert (len(train), len(valid), len(digits.test), digits.classes) == (646, 651, 500, 10)
    parts = [{p.numpy().tobytes() for p in part.pixels} for part in (train, valid, digits.test)]
    originals = {np.round(i * (255 / 16)).astype(np.uint8).repeat(3).tobytes() for i in load_digits().images}  # pyright: ignore
    assert set.union(*parts) == originals
    assert sum(map(len, parts)) <= len(originals) + 3


def test_a_data_set_shows_its_parts_and_classes(digits: Dataset) -> None:
    assert repr(digits) == "<Dataset digits (digits): 1,797 images of 10 classes>"
    page = digits._repr_html_()
    for words in ("1,297 images", "500 images", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        assert words in page
    names = tuple(f"<{i}>" for i in range(20))
    assert "&lt;11&gt; and 8 more<" in Dataset("many", 20, digits.pool, digits.test, class_names=names)._repr_html_()


def test_splits_are_the_same_for_every_run_and_disjoint(digits: Dataset) -> None:
    first, again = digits.split("standard"), load("digits").split("standard")
    assert torch.equal(first[0].pixels, again[0].pixels)
    assert [len(part) for part in first] == [1158, 139]
    assert [len(part) for part in digits.split("standard", "position")] == [1167, 130]
    with pytest.raises(ValueError, match="no split 'thirds'; there are auto, standard, half"):
        digits.split("thirds")


@pytest.mark.parametrize("name", ["given", "valid-is-test"])
def test_a_split_into_own_images_needs_them(digits: Dataset, name: str) -> None:
    with pytest.raises(ValueError, match=f"split '{name}' needs validation images of the data set's own, digits has"):
        digits.split(name)
    own = Dataset("own", 10, digits.pool, digits.test, digits.pool if name == "given" else digits.test)
    for part, images in zip(own.split(name), (own.pool, own.valid), strict=True):
        assert images is not None
        assert sorted(map(bytes, part.pixels.numpy())) == sorted(map(bytes, images.pixels.numpy()))


def test_the_first_images_of_a_split_are_of_all_classes(digits: Dataset) -> None:
    """A folder lists one class after another; recalibration and `--images` take the first so many."""
    listed = [part.subset(part.labels.argsort()) for part in (digits.pool, digits.test)]
    for part in Dataset("listed", 10, listed[0], listed[1], listed[1]).split("valid-is-test"):
        assert len(part.labels[:60].unique()) == 10


def test_cifar10_split(real_data: Path) -> None:
    cifar = load("cifar10", real_data)
    assert [len(part) for part in cifar.split("standard")] == [45021, 4979]
    assert [len(part) for part in cifar.split("half", "position")] == [25000, 25000]
    assert len(cifar.test) == 10000
    assert (cifar.pool.mean / 255).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
    assert (cifar.pool.std / 255).tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=1e-4)


def test_moments_normalise(digits: Dataset) -> None:
    x = digits.pool.normalised(digits.pool.pixels)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.mean((0, 2, 3)).abs().max() < 1e-4
    assert x.std((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("flip", [0.2, 0.7])
@pytest.mark.parametrize(("row", "column"), [(0.0, 0.99), (0.5, 0.5), (0.3, 0.7)])
def test_shift_and_flip_are_pad_then_flip_then_crop(flip: float, row: float, column: float) -> None:
    one, s = images(1), 2
    got = augment(one, one.pixels, Augmentation(shift=s), draws(flip=flip, row=row, column=column))
    padded = F.pad(one.normalised(one.pixels), (s, s, s, s))
    if flip >= 0.5:
        padded = padded.flip(3)
    top, left = int(row * 5), int(column * 5)
    if flip >= 0.5:
        left = 2 * s - left
    assert torch.equal(got, padded[:, :, top : top + 6, left : left + 6])


def test_cutout_hides_a_square_around_a_pixel_cut_at_the_border() -> None:
    one = images(1)
    none = Augmentation(shift=0, flip=False)
    plain = augment(one, one.pixels, none, draws())
    assert torch.equal(plain, one.normalised(one.pixels))
    hidden = augment(one, one.pixels, Augmentation(0, False, cutout=4), draws(cut_row=0.0, cut_column=0.6)) == 0
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[0:2, 1:5] = True  # centre (0, 3)
    assert torch.equal(hidden[0, 0], expected)


@pytest.mark.parametrize("folders", [{"crop_scale": 0.4}, {"color_jitter": 0.1}])
def test_images_in_memory_take_no_crops_and_no_jitter(folders: dict) -> None:
    with pytest.raises(ValueError, match=r"crop_scale and color_jitter are for image folders.*expected 1 and 0, got"):
        next(training_batches(images(8), 4, Augmentation(**folders), np.random.default_rng(0)))
    assert images(8).nbytes == images(8).in_memory().pixels.numel()


def test_every_shift_is_equally_likely() -> None:
    many = Images(torch.full((9000, 3, 3, 3), 9, dtype=torch.uint8), torch.zeros(9000), torch.zeros(3), torch.ones(3))
    d = torch.from_numpy(np.random.default_rng(0).random((5, 9000), dtype=np.float32))
    x = augment(many, many.pixels, Augmentation(shift=1, flip=False), d)[:, 0] > 0
    corners = torch.stack([x[:, 0].any(1), x[:, 2].any(1), x[:, :, 0].any(1), x[:, :, 2].any(1)]).float().mean(1)
    assert corners.tolist() == pytest.approx([2 / 3] * 4, abs=0.02)


def test_epoch_batches_cover_the_images_once() -> None:
    labels = [y for _, y in training_batches(images(22), 5, Augmentation(), np.random.default_rng(0))]
    assert [len(y) for y in labels] == [5, 5, 5, 5]
    assert len(set(torch.cat(labels).tolist())) == 20


def test_processes_share_the_batch_of_one() -> None:
    some = images(16)
    whole = list(training_batches(some, 8, Augmentation(), np.random.default_rng(3)))
    parts = [list(training_batches(some, 8, Augmentation(), np.random.default_rng(3), rank, 2)) for rank in range(2)]
    for (x, y), (x0, y0), (x1, y1) in zip(whole, *parts, strict=True):
        assert torch.equal(x[0::2], x0)
        assert torch.equal(x[1::2], x1)
        assert torch.equal(torch.stack([y0, y1], 1).flatten(), y)


def test_batches_need_enough_images() -> None:
    with pytest.raises(ValueError, match="a batch of 9 images needs as many training images, got 8"):
        next(training_batches(images(8), 9, Augmentation(), np.random.default_rng(0)))
    with pytest.raises(ValueError, match="does not divide among 3 processes"):
        next(training_batches(images(8), 4, Augmentation(), np.random.default_rng(0), 0, 3))


def test_a_saved_file_is_found_by_name(tmp_path: Path) -> None:
    save(tmp_path / "mine.npz", arrays())
    for name, folder in (("mine", tmp_path), (str(tmp_path / "mine.npz"), None)):
        dataset = load(name, folder)
        assert (dataset.name, dataset.classes, len(dataset.pool), len(dataset.test)) == ("mine", 4, 40, 20)
    small = load("mine", tmp_path, image_size=3)
    assert small.pool.pixels.shape == (40, 3, 3, 3)
    block = arrays()["train_images"][0, :2, :2].astype(float).mean((0, 1))
    assert small.pool.pixels[0, 0, 0].tolist() == pytest.approx(block, abs=0.51)
    with pytest.raises(ValueError, match="image_size 9 is larger than the images, which are 6"):
        load("mine", tmp_path, image_size=9)


def test_missing_data_says_where_it_looked_and_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"looked for .*cifar10.npz.*`oneshot data cifar10` makes it"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test_labels": None}, "lacks test_labels; expected train_images"),
        ({"train_images": np.zeros((40, 6, 6, 3), np.float32)}, "train_images must be uint8"),
        ({"train_images": np.zeros((40, 6, 6, 4), np.uint8)}, r"\[N, H, W, 1\], got uint8 \(40, 6, 6, 4\)"),
        ({"train_labels": np.zeros(39, np.uint8)}, r"train_labels must be 40 integers, got uint8 \(39,\)"),
        ({"test_labels": np.zeros(20, np.float32)}, "must be 20 integers, got float32"),
        ({"test_labels": np.full(20, 9, np.uint8)}, "test_labels has 9, which no training image has"),
        ({"train_labels": np.full(40, -1, np.int64)}, "train_labels must not be negative"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    content = {key: value for key, value in {**arrays(), **change}.items() if value is not None}
    np.savez(tmp_path / "odd.npz", **content)
    with pytest.raises(ValueError, match=words):
        load("odd", tmp_path)


def test_truncated_and_pickled_files_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "cut.npz", arrays())
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(ValueError, match=r"cut.npz is no readable .npz file"):
        load(str(path))
    np.savez(tmp_path / "evil.npz", **{**arrays(), "train_images": np.array([print], dtype=object)})  # pyright: ignore
    with pytest.raises(ValueError, match=r"no readable \.npz file"):
        load("evil", tmp_path)


def test_fetch_reads_torchvision_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    class Small:
        def __init__(self, root: str, train: bool, download: bool) -> None:
            assert download == (root != "there")
            part = arrays()
            self.data = part["train_images"] if train else part["test_images"]
            self.targets = (part["train_labels"] if train else part["test_labels"]).tolist()

    monkeypatch.setattr(datasets, "CIFAR100", Small)
    for source in (None, "there"):
        path = fetch("cifar100", tmp_path, source)
        assert path == tmp_path / "cifar100.npz"
        assert np.array_equal(load("cifar100", tmp_path).pool.pixels, arrays()["train_images"])
    assert [p.name for p in tmp_path.iterdir()] == ["cifar100.npz"]
    with pytest.raises(ValueError, match="no data set 'imagenet' to fetch"):
        fetch("imagenet", tmp_path)
