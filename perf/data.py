"""What knowing its data adds to the start of a run: 50,000 images as arrays, and as files of a folder.

Measure: the processor's seconds of a process of its own until every object of a run stands (`build`, preset "paper"
with small images); within that, the seconds that go into keys, the split, the fingerprint, its recording and its
comparison. Of a folder, the sizes of its files too: against the listing by pathlib that came before, which is the slow
twin, and against one that asks for no sizes. Fastest of several starts.
Prediction: arrays are read once more at the speed of memory, names are some bytes each: below 2% of a start; asking
for a size is a call of the system for each file, some 5%, which the faster listing gives back.

    python perf/data.py [--images 50000] [--repeat 5]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
LIMIT = 0.02
CLASSES = 10


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--images", type=int, default=50_000)
    to.add_argument("--repeat", type=int, default=5)
    to.add_argument("--start", nargs=2, metavar=("DATASET", "FOLDER"), help=argparse.SUPPRESS)
    args = to.parse_args()
    if args.start:
        print(json.dumps(start(*args.start)))
        return
    overheads, seconds = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for case, make in {"arrays": arrays, "folder": folder}.items():
            dataset = make(Path(scratch), args.images)
            found = [started(dataset, Path(scratch) / f"{case}-{i}") for i in range(args.repeat)]
            whole, knowing, bare = (min(each[key] for each in found) for key in ("whole", "knowing", "with sizes"))
            overheads[case] = round(knowing / (whole - knowing), 4)
            seconds |= {f"{case}: start": round(whole, 3), f"{case}: knowing": round(knowing, 4)}
            if case == "folder":
                overheads["folder, against a listing without sizes"] = round(bare / (whole - bare), 4)
            print(f"{case}: {knowing:.3f} s of {whole:.2f} s: {overheads[case]:.2%}, at most {LIMIT:.0%} expected")
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"script": "perf/data.py", "overheads": overheads, "seconds": seconds, "machine": machine}))


def started(dataset: str, out: Path) -> dict[str, float]:
    """Seconds of one start in a process of its own."""
    words = [sys.executable, __file__, "--start", dataset, str(out)]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(said.stdout.splitlines()[-1])


def start(dataset: str, out: str) -> dict[str, float]:
    """A run on the data set, made and then opened for comparison; what of the seconds goes into knowing its data."""
    from oneshot.data import encoded, load, source
    from oneshot.data.fingerprint import Fingerprint, differences
    from oneshot.runs.data import Known
    from oneshot.runs.folder import RunFolder, recorded
    from oneshot.runs.presets import preset
    from oneshot.runs.run import build

    spent = [0.0]

    def timed(function: Any) -> Any:
        def within(*arguments: Any, **named: Any) -> Any:
            before, inner = time.process_time(), spent[0]
            try:
                return function(*arguments, **named)
            finally:
                spent[0] = inner + time.process_time() - before  # once, also within another one

        return within

    for module, name in ((load, "keys_of"), (source, "keys_of"), (encoded, "keys_of_names")):
        setattr(module, name, timed(getattr(module, name)))
    source.rows = timed(source.rows)
    Fingerprint.of = timed(Fingerprint.of)  # pyright: ignore[reportAttributeAccessIssue]
    Known.write = timed(Known.write)
    config, recipe = preset("paper")
    config = config.but(dataset=dataset, image_size=32)
    folder = RunFolder.create(out, recorded(config, recipe))
    run = build(config, recipe, folder=folder)
    known = timed(Known.read)(Path(out))
    assert known is not None
    assert timed(differences)(known.fingerprint, run.fingerprint) == []
    whole = time.process_time()
    net, bare = sizes(Path(dataset)) if Path(dataset).is_dir() else (0.0, 0.0)
    return {"whole": whole, "knowing": spent[0] + net, "with sizes": spent[0] + bare}


def sizes(dataset: Path) -> tuple[float, float]:
    """Seconds that the listing with sizes takes longer than the slow twin, and than one without sizes."""
    from oneshot.data.listing import sized_files

    def names(folder: str, before: str) -> Iterator[str]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".png") and entry.is_file():
                    yield before + entry.name
                elif entry.is_dir():
                    yield from names(entry.path, f"{before}{entry.name}/")

    def twin() -> list[str]:
        every = (Path(root, name) for root, _, names in os.walk(dataset, followlinks=True) for name in names)
        return sorted(str(path.relative_to(dataset)) for path in every if path.suffix.lower() == ".png")

    took, found = [], []
    for listing in (lambda: [name for name, _ in sized_files(dataset)], twin, lambda: sorted(names(str(dataset), ""))):
        begun = time.process_time()
        found.append(listing())
        took.append(time.process_time() - begun)
    assert found[0] == found[1] == found[2]
    return took[0] - took[1], took[0] - took[2]


def arrays(scratch: Path, count: int) -> str:
    """As large as CIFAR-10, of noise."""
    import numpy as np

    from oneshot.data.arrays import KEYS, save

    rng, labels = np.random.default_rng(0), np.arange(count) % CLASSES
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    few = count // 5
    return str(save(scratch / "some.npz", dict(zip(KEYS, (images, labels, images[:few], labels[:few]), strict=True))))


def folder(scratch: Path, count: int) -> str:
    """As many names of one small picture."""
    from PIL import Image

    one = scratch / "one.png"
    Image.new("RGB", (32, 32)).save(one)
    for part, images in (("train", count), ("test", count // 5)):
        for label in range(CLASSES):
            place = scratch / "folder" / part / f"class {label}"
            place.mkdir(parents=True)
            for i in range(images // CLASSES):
                os.link(one, place / f"{i:06}.png")
    return str(scratch / "folder")


if __name__ == "__main__":
    main()
