"""What tests share: real data where it is, small networks, and few threads."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: threads of small work wait for each other on a busy machine

from pathlib import Path

import pytest
import torch

from oneshot.data import Dataset, Images, load


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with `cifar10.npz` and the published tables."""
    folder = os.environ.get("ONESHOT_DATA")
    if not folder:
        pytest.skip("needs the real data: set ONESHOT_DATA to a folder with cifar10.npz and the NAS-Bench tables")
    return Path(folder)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture
def few(digits: Dataset) -> tuple[Images, Images]:
    """96 training and 64 validation digits."""
    train, valid = digits.split("half")
    return train.subset(slice(0, 96)), valid.subset(slice(0, 64))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test finds files in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
