"""What every sampler, operation table, context, data format and tracker keeps."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot.data.arrays import KEYS, save
from oneshot.registry import CONTEXTS, FORMATS, OPERATIONS, SAMPLERS, SPACES, TRACKERS
from oneshot.testing import ContextContract, FormatContract, OperationsContract, SamplerContract, TrackerContract

MAKERS = {
    name: (lambda space, name=name: SAMPLERS[name](**({"iterations": 5} if name.startswith("vae") else {})).make(space))
    for name in SAMPLERS
}
REFUSED = {
    **{("fair", name): "forbids some" for name, space in SPACES.items() if not space.is_product},
    **{("balanced", name): "enumerates its space" for name, space in SPACES.items() if not space.is_enumerable},
} | {("exact-edges", name): "draws NAS-Bench-101 cells" for name in SPACES if name != "nasbench101"}
PAIRS = [(make, space) for make in MAKERS for space in SPACES]


@pytest.mark.parametrize(("make", "space"), REFUSED)
def test_spaces_that_a_sampler_cannot_draw_from_are_refused(make: str, space: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[make, space]):
        MAKERS[make](SPACES[space])


@pytest.mark.parametrize(
    ("make", "space"),
    [pytest.param(MAKERS[m], SPACES[s], id=f"{s}-{m}") for m, s in PAIRS if (m, s) not in REFUSED],
)
class TestSampler(SamplerContract): ...


@pytest.mark.parametrize("operations", [table().make() for table in OPERATIONS.values()], ids=list(OPERATIONS))
class TestOperations(OperationsContract): ...


@pytest.mark.parametrize("context", [settings() for settings in CONTEXTS.values()], ids=list(CONTEXTS))
class TestContext(ContextContract): ...


def encoded(image: np.ndarray) -> bytes:
    made = io.BytesIO()
    Image.fromarray(image).save(made, "PNG")
    return made.getvalue()


def hub(root: Path, rng: np.random.Generator) -> str:
    datasets = pytest.importorskip("datasets")
    datasets.config.HF_DATASETS_CACHE = root / "cache"
    pictures = [encoded(image) for image in rng.integers(0, 256, (60, 9, 9, 3), np.uint8)]
    table = datasets.Dataset.from_dict({"image": pictures, "label": [i % 2 for i in range(60)]})
    table.to_parquet(root / "pictures.parquet")
    return str(root / "pictures.parquet")


def shards(root: Path, rng: np.random.Generator) -> str:
    (root / "shards").mkdir()
    with tarfile.open(root / "shards" / "train-0.tar", "w") as archive:
        for i, image in enumerate(rng.integers(0, 256, (60, 9, 9, 3), np.uint8)):
            for name, content in ((f"{i}.png", encoded(image)), (f"{i}.cls", str(i % 2).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return str(root / "shards")


def mnist(root: Path, rng: np.random.Generator) -> str:
    """The files of MNIST, as it writes them."""
    (root / "MNIST" / "raw").mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        images, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count) % 4
        head = np.array([0x803, count, 28, 28], ">i4").tobytes()
        (root / "MNIST" / "raw" / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = np.array([0x801, count], ">i4").tobytes()
        (root / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.astype(np.uint8).tobytes())
    return "torchvision:MNIST"


@pytest.fixture
def path(form: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A data set of each format that ships."""
    rng = np.random.default_rng(0)
    packed = {"datasets": hub, "shards": shards, "torchvision": mnist}
    for name, write in packed.items():
        if form is FORMATS[name]:
            monkeypatch.setenv("ONESHOT_DATA", str(tmp_path))
            yield write(tmp_path, rng)
            return
    if form is FORMATS["digits"]:
        yield "digits"
    elif form is FORMATS["npz"]:
        images, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 4
        yield str(save(tmp_path / "some.npz", dict(zip(KEYS, (images, labels, images, labels), strict=True))))
    else:
        for i in range(40):
            part = tmp_path / "pictures" / ("train" if i < 24 else "valid") / f"class{i % 2}"
            part.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(part / f"{i}.png")
        yield str(tmp_path / "pictures")


@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
class TestFormat(FormatContract): ...


@pytest.fixture
def tracker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """The settings of a tracker, none of which asks another machine; of an extra that may not be installed."""
    name = request.param
    if name in EXTRAS:
        pytest.importorskip(name, reason=f"pip install 'oneshot-nas[{name}]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db")
    return TRACKERS[name]()


EXTRAS = ("mlflow", "wandb")
"""Large, and with bounds of their own: not among what the tests install."""


@pytest.mark.parametrize("tracker", list(TRACKERS), indirect=True)
class TestTracker(TrackerContract): ...
