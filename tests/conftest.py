"""What tests share: real data where it is, small networks, and few threads."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: threads of small work wait for each other on a busy machine

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
import torch
from oneshot.benchmarks.table import SHIPPED
from torch import Tensor

from oneshot.data.load import load
from oneshot.data.source import Dataset, Images
from perf import forked

if TYPE_CHECKING:
    from oneshot.evaluators.actors import Cluster

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and their children, ignore it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of this folder first, which take longest, so that no worker waits for another's at the end."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)


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


@pytest.fixture(scope="session")
def cifar_few(real_data: Path) -> tuple[Images, Images]:
    """32 training and 32 validation images of CIFAR-10."""
    train, valid = load("cifar10", real_data).split("half")
    return train.subset(slice(0, 32)), valid.subset(slice(0, 32))


@pytest.fixture(scope="session")
def a_sixth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every sixth architecture of the table that ships, in a file of the same name."""
    table = pq.read_table(SHIPPED / "nasbench201-digits.parquet")
    path = tmp_path_factory.mktemp("tables") / "nasbench201-digits.parquet"
    pq.write_table(table.take([*range(0, len(table), 6)]), path)
    return path


@pytest.fixture
def few(digits: Dataset) -> tuple[Images, Images]:
    """96 training and 64 validation digits."""
    train, valid = digits.split("half")
    return train.subset(slice(0, 96)), valid.subset(slice(0, 64))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two actors on a Ray of this machine, which has four CPUs by its own account, and stays until the end."""
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    from oneshot.evaluators.actors import Cluster

    with Cluster("local", actors=4), Cluster(actors=2) as two:
        yield two


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test finds files in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


ALONE_AGAIN = """
from pathlib import Path
threads = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
assert not [name for name in threads if "gloo" in name], f"threads of the group that was left: {threads}"
"""


@pytest.fixture
def alone_and_together(tmp_path: Path) -> Callable[[str, tuple[str, ...]], Iterator[tuple[Tensor, Tensor]]]:
    """Runs a script in one process and, as torchrun, in two; pairs the tensors that both saved under these names.

    The script gets the beginning of its files' names, and saves a list as BEGINNING-NAME-PROCESSES.pt. The second of
    two is started afresh, so that sets of strings are in another order there.
    """

    def run(script: str, names: tuple[str, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        worker, root = tmp_path / "worker.py", Path(__file__).resolve().parent.parent
        worker.write_text(script + ALONE_AGAIN)
        words = [str(worker), str(tmp_path / "state")]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = forked.run(words, root, environment, timeout=240)
        assert done.returncode == 0, done.stderr[-4000:]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        environment |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        both = [
            forked.Process(words, root, {**environment, "RANK": "0", "LOCAL_RANK": "0"}),
            subprocess.Popen(
                [sys.executable, *words], cwd=root, env={**environment, "RANK": "1", "LOCAL_RANK": "1"},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ),
        ]  # fmt: skip
        try:
            for process in both:
                _, error = process.communicate(timeout=240)
                assert process.returncode == 0, error[-4000:]
        finally:
            for process in both:
                process.kill()
        for name in names:
            one, two = (torch.load(tmp_path / f"state-{name}-{n}.pt", weights_only=True) for n in (1, 2))
            yield from zip(one, two, strict=True)

    return run


class SmallDisk:
    """A file system of 1 MiB that can be filled."""

    def __init__(self, path: Path) -> None:
        self.path, self._filler = path, path / "filler"

    def fill(self, but: int = 0) -> None:
        """To the last byte, but for so many KiB."""
        with suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        os.truncate(self._filler, self._filler.stat().st_size - 1024 * but)

    def free(self) -> None:
        self._filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)
