"""What decides which images train and which validate: each image by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from oneshot.data.arrays import KEYS, save
from oneshot.data.keys import below, by_key, keys_of, mixed
from oneshot.data.load import load
from oneshot.data.source import Dataset, Images


def pictures(count: int = 300, size: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def dataset(pixels: np.ndarray) -> Dataset:
    labels = torch.arange(len(pixels)) % 3
    images = Images(torch.from_numpy(pixels), labels, torch.zeros(3), torch.ones(3))
    return Dataset("some", 3, images, images.subset(slice(0, 10)))


def contents(images: Images) -> list[bytes]:
    return [bytes(image) for image in images.pixels.numpy()]


@pytest.mark.parametrize("split", ["standard", "half"])
@pytest.mark.parametrize("gone", [0, 17, 299])
def test_an_image_that_goes_moves_no_other_and_leaves_their_order(split: str, gone: int) -> None:
    pixels = pictures()
    before = [contents(part) for part in dataset(pixels).split(split)]
    after = [contents(part) for part in dataset(np.delete(pixels, gone, 0)).split(split)]
    without = bytes(pixels[gone])
    assert after == [[image for image in side if image != without] for side in before]


def test_positions_decide_nothing_and_decided_all_in_earlier_versions() -> None:
    pixels = pictures()
    order = np.random.default_rng(1).permutation(len(pixels))
    one, other = dataset(pixels), dataset(pixels[order])
    assert [contents(part) for part in one.split("half")] == [contents(part) for part in other.split("half")]
    train, valid = one.split("standard", "position")
    expected = np.random.default_rng(0).permutation(len(pixels))
    assert contents(train) + contents(valid) == [bytes(pixels[i]) for i in expected]
    assert [len(train), len(valid)] == [270, 30]


def test_copies_of_an_image_share_their_side() -> None:
    pixels = np.concatenate([pictures(100), pictures(100)[:50]])
    train, valid = (set(contents(part)) for part in dataset(pixels).split("half"))
    assert len(train) + len(valid) == 100
    assert not train & valid


def test_the_size_that_images_are_brought_to_decides_nothing(tmp_path: Path) -> None:
    pixels, labels = pictures(60), np.arange(60) % 3
    path = save(tmp_path / "a.npz", dict(zip(KEYS, (pixels, labels, pixels[:9], labels[:9]), strict=True)))
    whole, small = (load(str(path), image_size=size) for size in (None, 3))
    known = [[part.keys().tolist() for part in each.split("half")] for each in (whole, small)]
    assert known[0] == known[1]
    assert small.pool.shape == (3, 3)


def test_shares_are_kept_and_names_in_a_row_are_as_random_as_any() -> None:
    """20,000 names a case; four standard deviations of the binomial."""
    for form in ("{}", "{:06}.png", "class/{:05}", "n0{}_img"):
        keys = keys_of(form.format(i).encode() for i in range(20_000))
        for share in (0.5, 0.9):
            assert below(keys, share).mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)
        order = by_key(keys, np.arange(20_000))
        assert abs(np.corrcoef(order, np.arange(20_000))[0, 1]) < 4 / 20_000**0.5


def test_salts_make_independent_sides() -> None:
    keys = keys_of(str(i).encode() for i in range(20_000))
    both = below(keys, 0.5) & below(keys, 0.5, salt=2)
    assert both.mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 20_000) ** 0.5)


def test_keys_are_the_same_on_every_machine() -> None:
    """CRC-32 of b'123456789' is 0xcbf43926 (its check value); SplitMix64 with seed 0 begins with 0xe220a8397b1dcdaf."""
    assert mixed(np.array([0xCBF43926])).tolist() == keys_of([b"123456789"]).tolist()
    assert mixed(np.array([0])).tolist() == [0xE220A8397B1DCDAF]


def test_too_few_images_to_divide_are_refused() -> None:
    alone = dataset(pictures()[:1])
    with pytest.raises(ValueError, match=r"leaves \d images to train and \d to validate on: 1 images are too few"):
        alone.split("half")
