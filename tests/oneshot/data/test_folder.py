"""Image folders: what comes out of them, that it does not depend on worker processes, and training from them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oneshot.evaluators.supernet import SupernetEvaluator
from PIL import Image
from torch import Tensor

from oneshot.data.augmentation import Augmentation
from oneshot.data.encoded import MEAN, STD, EncodedImages, _interrupts_held, default_workers
from oneshot.data.folder import load_folder
from oneshot.data.load import load
from oneshot.data.source import Dataset, Images, ImageSource, training_batches
from oneshot.methods.single_path import SinglePath
from oneshot.runs.folder import RunFolder
from oneshot.runs.presets import preset
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.fairnas import fairnas
from oneshot.supernets.fairnas import FairNasNet
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]
PER_CLASS = {"train": 7, "valid": 3, "test": 2}
SPACE = fairnas(("k3e3", "k5e3"))
SUPERNET, STANDALONE = (preset(name)[1].augmentation for name in ("fairnas", "fairnas-standalone"))


@pytest.fixture(scope="session")
def pictures(digits: Dataset) -> Arrays:
    """A few images a class, in the order of their labels: CIFAR-10 where ONESHOT_DATA has it, else digits."""
    root = os.environ.get("ONESHOT_DATA")
    pool = load("cifar10", root).pool if root and (Path(root) / "cifar10.npz").is_file() else digits.pool
    pixels, labels = pool.pixels.numpy(), pool.labels.numpy()
    parts, first = {}, 0
    for part, count in PER_CLASS.items():
        rows = np.concatenate([np.flatnonzero(labels == c)[first : first + count] for c in range(10)])
        parts[part] = pixels[rows], labels[rows]
        first += count
    return parts


@pytest.fixture(scope="session")
def folder(pictures: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as PNG files, which lose nothing."""
    root = tmp_path_factory.mktemp("images") / "pictures"
    for part, (pixels, labels) in pictures.items():
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            path = root / part / f"class {label}" / f"{i:04d}.PNG"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


def opened(folder: Path, workers: int = 0, size: int | None = None) -> Dataset[EncodedImages]:
    any_image = next((folder / "train").rglob("*.PNG"))
    return load_folder(folder, size or Image.open(any_image).height, workers=workers)


def one(folder: Path, image: np.ndarray, size: int, copies: int = 1) -> EncodedImages:
    """One image, many times, not normalised."""
    path = folder / "one.png"
    Image.fromarray(image).save(path)
    return EncodedImages([str(path)] * copies, torch.arange(copies), torch.zeros(3), torch.ones(3), size)


def epoch(
    images: ImageSource, augmentation: Augmentation, seed: int = 0, share: Sequence[int] = (0, 1)
) -> list[Tensor]:
    """The images and the labels of every batch of eight."""
    batches = training_batches(images, 8, augmentation, np.random.default_rng(seed), *share)
    return [part for batch in batches for part in batch]


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_without_augmentation_it_is_the_arrays(folder: Path, pictures: Arrays) -> None:
    dataset = opened(folder)
    assert (dataset.name, dataset.classes) == ("pictures", 10)
    for part, images in {"train": dataset.pool, "valid": dataset.valid, "test": dataset.test}.items():
        assert images is not None
        pixels, labels = (torch.from_numpy(array) for array in pictures[part])
        arrays = Images(pixels, labels.long(), 255 * torch.tensor(MEAN), 255 * torch.tensor(STD))
        for (x, y), (expected, label) in zip(images.batches(9), arrays.batches(9), strict=True):
            assert torch.equal(x, expected)
            assert torch.equal(y, label)
            assert x.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(images.in_memory().pixels, pixels)
        assert images.nbytes == images.in_memory().nbytes == pixels.numel()


@pytest.mark.parametrize("shape", [(50, 90), (90, 50), (64, 64)])
def test_validation_resizes_the_shorter_side_and_cuts_the_centre(shape: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    (x, _) = next(one(tmp_path, pixels, 28).batches(1))
    height, width = (int(32 * side / min(shape)) for side in shape)  # 28 / 0.875 = 32
    whole = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - 28) / 2), round((height - 28) / 2)
    expected = np.asarray(whole.crop((left, top, left + 28, top + 28)))
    assert np.array_equal(x[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("augmentation", [Augmentation(2, True, 4), SUPERNET, STANDALONE], ids=["own", "0.4", "0.08"])
def test_workers_and_processes_change_nothing(folder: Path, augmentation: Augmentation) -> None:
    alone, helped = opened(folder).pool, opened(folder, workers=2).pool
    before = torch.get_rng_state()
    whole = epoch(alone, augmentation)
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert same(epoch(helped, augmentation), whole)
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(epoch(alone, augmentation, seed=1), whole)
    halves = [epoch(alone, augmentation, share=(rank, 2)) for rank in range(2)]
    assert same([part[0::2] for part in whole], halves[0])
    assert same([part[1::2] for part in whole], halves[1])
    labels = torch.cat(whole[1::2])
    assert len(labels) == 64
    assert labels.bincount().tolist() != [8] * 8  # shuffled: 64 of the 70 images


def test_crops_have_the_areas_and_ratios_of_table_5(tmp_path: Path) -> None:
    """Red is the column and green the row, so that a crop tells where it was taken."""
    ramp = np.arange(200, dtype=np.uint8)
    pixels = np.zeros((200, 200, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = ramp[None, :], ramp[:, None]
    x = torch.cat(epoch(one(tmp_path, pixels, 50, copies=400), replace(SUPERNET, flip=False))[0::2])
    low, high = x.amin((2, 3))[:, :2], x.amax((2, 3))[:, :2]
    # the outermost pixels of a resized crop lie half an output pixel inside it
    sides = (high - low + 1) * 50 / 49
    area, ratio = sides.prod(1) / 200**2, sides[:, 0] / sides[:, 1]
    assert 0.38 < area.min() < 0.45 < 0.92 < area.max() < 1.03
    assert 0.72 < ratio.min() < 0.8 < 1.25 < ratio.max() < 1.38
    assert 0 <= low.min() < 4 < 60 < low.max() < 92


def test_flips_are_half_and_shifts_move_zeros_in(tmp_path: Path) -> None:
    pixels = np.full((6, 6, 3), 200, np.uint8)
    pixels[:, :3] = 100
    x = torch.cat(epoch(one(tmp_path, pixels, 6, copies=400), Augmentation(shift=0))[0::2])
    plain = torch.from_numpy(pixels).permute(2, 0, 1).float()
    flipped = torch.tensor([torch.equal(image, plain.flip(2)) for image in x])
    assert all(torch.equal(image, plain) for image in x[~flipped])
    assert 0.4 < flipped.float().mean() < 0.6
    moved = torch.cat(epoch(one(tmp_path, pixels, 6, copies=400), Augmentation(shift=2, flip=False))[0::2])[:, 0]
    zeros = (moved == 0).all(2).sum(1)  # rows
    assert zeros.bincount(minlength=3).tolist() == pytest.approx([80, 160, 160], abs=40)


def test_jitter_scales_the_brightness_and_cutout_hides(tmp_path: Path) -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    images = one(tmp_path, grey, 8, copies=200)
    x = torch.cat(epoch(images, Augmentation(shift=0, color_jitter=0.4))[0::2])
    assert torch.equal(x, x[:, :1, :1, :1].expand_as(x))  # contrast and saturation leave plain grey alone
    assert 60 <= x.min() < 70 < 130 < x.max() <= 140
    x = torch.cat(epoch(images, Augmentation(shift=0, cutout=4))[0::2])[:, 0]
    hidden = (x == 0).flatten(1).sum(1)
    assert hidden.max() == 16
    assert hidden.min() == 4  # around a corner
    assert ((x == 0) | (x == 100)).all()


def test_random_interpolation_is_both(tmp_path: Path) -> None:
    """Of a step, only the bicubic kernel overshoots."""
    pixels = np.full((40, 40, 3), 60, np.uint8)
    pixels[:, 20:] = 180
    images = one(tmp_path, pixels, 64, copies=80)

    def overshoots(interpolation: str) -> float:
        augmentation = Augmentation(shift=0, crop_scale=0.9, interpolation=interpolation)
        x = torch.cat(epoch(images, augmentation)[0::2])
        return float((x.amax((1, 2, 3)) > 180).float().mean())

    assert overshoots("bilinear") == 0
    assert overshoots("bicubic") == 1
    assert 0.3 < overshoots("random") < 0.7


def network() -> FairNasNet:
    torch.manual_seed(1)
    return FairNasNet(SPACE, 2, 10).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


# two channels: what is constant there has gradients without bound
RECIPE = Recipe(
    epochs=3,
    batch_size=16,
    learning_rate=0.02,
    warmup_epochs=1,
    label_smoothing=0.1,
    shift=1,
    gradient_clip=1.0,
)


def test_training_is_bit_identical_with_workers_and_across_a_stop(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(net: FairNasNet, workers: int, *rest: Any, **named: Any) -> FairNasNet:
        images, held_out = opened(folder, workers).split("given")
        train(net, SinglePath(SPACE, StrictlyFair(SPACE)), images, held_out, RECIPE, 3, *rest, **named)
        return net

    straight = trained(network(), 0).state_dict()
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    run = RunFolder.create(tmp_path / "run", {})

    def interrupt(row: Any) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(network(), 2, run, callbacks=[OnEpoch(interrupt)])
    torch.manual_seed(99)
    resumed = trained(network(), 1, run).state_dict()
    assert [row["epoch"] for row in run.metrics] == [1, 2, 3]
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)


def test_predictions_are_those_of_the_images_in_memory(folder: Path) -> None:
    net, archs = network(), Uniform(SPACE).draw(3, np.random.default_rng(0))
    images, valid = opened(folder, workers=1).split("standard")
    streamed = SupernetEvaluator(net, SPACE, images, valid, "ema-2", 16)(archs)
    memory = SupernetEvaluator(net, SPACE, images.in_memory(), valid.in_memory(), "ema-2", 16)(archs)
    assert streamed.values == memory.values
    assert len(images) + len(valid) == 70


def test_splits(folder: Path, tmp_path: Path) -> None:
    images, valid = opened(folder).split("given")
    assert [len(images), len(valid)] == [70, 30]
    with pytest.raises(ValueError, match="has test images beside its validation images: use the split given"):
        opened(folder).split("valid-is-test")
    (tmp_path / "two").mkdir()
    for part, name in {"train": "train", "valid": "val"}.items():
        (tmp_path / "two" / name).symlink_to(folder / part)
    two = opened(tmp_path / "two")
    assert two.valid is two.test
    assert [len(part) for part in two.split("valid-is-test")] == [70, 30]
    with pytest.raises(ValueError, match=r"no test images beside its validation images.*valid-is-test, which says"):
        two.split("given")


def test_a_name_finds_a_folder_and_an_npz_before_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(load("pictures", folder.parent).pool) == 70
    assert load(str(folder)).pool.size == 224
    monkeypatch.chdir(folder.parent)
    assert load("pictures", image_size=8).test.size == 8
    (folder.parent / "pictures.npz").write_bytes(b"")
    try:
        with pytest.raises(ValueError, match=r"pictures\.npz is no readable"):
            load("pictures", folder.parent)
    finally:
        (folder.parent / "pictures.npz").unlink()


@pytest.mark.parametrize("cut", [0, 10, 150])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(tmp_path: Path, workers: int, cut: int) -> None:
    images = one(tmp_path, np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8), 4, copies=8)
    bad = tmp_path / "bad.png"
    bad.write_bytes((tmp_path / "one.png").read_bytes()[:cut])
    broken = replace(images, places=[*images.places[:7], str(bad)], workers=workers)
    with pytest.raises(ValueError, match=r"bad\.png is no readable image") as caught:
        epoch(broken, Augmentation(shift=0))
    assert "Traceback" not in str(caught.value)


def test_odd_folders(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected train/ and valid/ or test/ .* got none of them"):
        load(str(tmp_path))
    for part in ("train/cat", "train/dog", "valid/cat"):
        (tmp_path / part).mkdir(parents=True)
        Image.new("L", (5, 5)).save(tmp_path / part / "a.png")
    assert next(load_folder(tmp_path, 4, workers=0).pool.batches(2))[0].shape == (2, 3, 4, 4)  # grey became RGB
    (tmp_path / "train" / "dog" / "a.png").unlink()
    with pytest.raises(ValueError, match=r"dog holds no image; known are \.jpg"):
        load_folder(tmp_path)
    (tmp_path / "train" / "dog").rmdir()
    with pytest.raises(ValueError, match=r"at least two classes, .* got the class 'cat' alone"):
        load_folder(tmp_path)
    (tmp_path / "train" / "cow").mkdir()
    (tmp_path / "valid" / "dog").mkdir()
    Image.new("L", (5, 5)).save(tmp_path / "train" / "cow" / "a.png")
    with pytest.raises(ValueError, match="has the class 'dog', which is none of the 2 of train/"):
        load_folder(tmp_path)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_every_pass_is_the_same_and_starts_no_more_processes_than_it_has_work_for(folder: Path) -> None:
    images = opened(folder, workers=2).pool
    assert same(*([part for batch in images.batches(40) for part in batch] for _ in range(2)))

    def processes(images: EncodedImages, size: int) -> int:
        batches = images.batches(size)
        next(batches)
        return len(active_children())

    first = images.subset(slice(0, 40))
    assert [processes(images, 9), processes(first, 40), processes(replace(first, workers=9), 14)] == [2, 0, 3]
    assert not active_children()


def test_an_interrupt_waits_until_the_processes_have_started_and_never_reaches_them(folder: Path) -> None:
    started = []

    def start() -> None:
        with _interrupts_held():
            signal.raise_signal(signal.SIGINT)
            started.append(True)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert started == [True]
    images = opened(folder, workers=2).pool
    batches = images.batches(9)
    seen = [next(batches)]
    for process in active_children():
        os.kill(process.pid or 0, signal.SIGINT)
    assert sum(len(y) for _, y in [*seen, *batches]) == len(images)
    with pytest.raises(KeyboardInterrupt):  # as before
        signal.raise_signal(signal.SIGINT)


def test_a_folder_needs_class_folders(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        Image.new("RGB", (5, 5)).save(tmp_path / part / "a.png")
    with pytest.raises(ValueError, match=r"a folder of images for each class in .*train, got 1 images and no folder"):
        load_folder(tmp_path)


def test_images_of_all_sizes_and_kinds_are_one_batch(tmp_path: Path) -> None:
    """Grey, palette and transparent images of any shape; one colour everywhere, so that no crop changes it."""
    images = {"RGB": (9, 90, 60), "L": 60, "P": 3, "RGBA": (9, 90, 60, 128), "CMYK": (0, 0, 0, 195)}
    for i, (mode, colour) in enumerate(images.items()):
        for part in ("train", "valid"):
            path = tmp_path / part / f"class {i % 2}" / f"{i}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (5 + 7 * i, 30 - 4 * i), colour).save(path)
    dataset = load_folder(tmp_path, 8, workers=0)
    x, _ = next(replace(dataset.pool, mean=torch.zeros(3), std=torch.ones(3)).batches(9))
    assert x.shape == (5, 3, 8, 8)
    assert torch.equal(x, x[:, :, :1, :1].expand_as(x))
    colours = x[:, :, 0, 0].tolist()  # of the even ones, then of the odd ones
    assert [colours[i] for i in (0, 3, 4, 2)] == [[9, 90, 60], [60, 60, 60], [5, 45, 30], [60, 60, 60]]
    assert len(epoch(dataset.pool.subset(torch.arange(8) % 5), SUPERNET)[0]) == 8


def test_sizes_must_fit() -> None:
    with pytest.raises(ValueError, match="a label for each file, got 4, 0, 2 labels for 1 files"):
        EncodedImages(["a"], torch.zeros(2), torch.zeros(3), torch.ones(3), 4)


def test_processes_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)
    assert default_workers() == 12
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "5")
    assert default_workers() == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "50")
    assert default_workers() == 1
