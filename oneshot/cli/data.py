"""`oneshot data`: fetch a data set through torchvision once, and keep it as NAME.npz; or look at one that is here.

`oneshot data check NAME` says what a data set is, and names the images that cannot be read; `oneshot data subset`
chooses classes and images of an image folder by seed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from oneshot.cli.options import add_data_dir, parser, print_json

EXAMPLE = "oneshot data cifar10 --data-dir data"
SUBSET_EXAMPLE = "oneshot data subset imagenet/train subimagenet --classes 100 --train 250 --valid 250 --seed 0"


CHECK_EXAMPLE = "oneshot data check FOLDER"


def main(argv: Sequence[str]) -> int | None:
    commands = {"subset": subset, "check": check}
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    to = parser("data", __doc__ or "", EXAMPLE)
    to.add_argument("name", type=str, help="cifar10 or cifar100 (digits needs no fetching), or check, or subset")
    here = "torchvision's folder, if it is here already"
    to.add_argument("--from", dest="source", type=str | None, default=None, help=here)
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.data.load import fetch, load

    if args.name == "digits":
        print("digits comes with scikit-learn: nothing to fetch")
        return None
    path = fetch(args.name, args.data_dir, args.source)
    dataset = load(str(path))
    print(f"{path}: {len(dataset.pool):,} training and {len(dataset.test):,} test images, {dataset.classes} classes")
    return None


def check(argv: Sequence[str]) -> int:
    """What a data set is, and whether all of it can be read: 2 where an image cannot."""
    to = parser("data check", "Say what a data set is, and name every image that cannot be read", CHECK_EXAMPLE)
    to.add_argument("dataset", type=str, help="folder of images, .npz file, or name of a data set")
    to.add_argument("--split", type=str, default="auto", help="as in `oneshot train`")
    to.add_argument("--json", action="store_true", help="print its fingerprint as one JSON document")
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.base.progress import Progress
    from oneshot.data.load import load

    dataset = load(args.dataset, args.data_dir)
    with Progress("check", len(dataset), "images") as progress:
        damaged = [line for part in dataset.parts().values() for line in part.unreadable(progress.advance)]
    found = dataset.fingerprint(args.split)
    if args.json:
        print_json({**found.document(), "unreadable": damaged})
    else:
        names = list(found.classes)
        print(f"{args.dataset}: {found.format}, {len(names)} classes: {', '.join(names[:20])}{_more(names, 20)}")
        for part, images in found.parts.items():
            few, many = min(images.of_classes), max(images.of_classes)
            each = f"{few:,} of each class" if few == many else f"{few:,} to {many:,} of a class"
            print(f"{part}: {images.images:,} images, {each}")
        print(f"split {found.split.name}: {found.split.train:,} train, {found.split.valid:,} validate")
        print(f"fingerprint {found.digest}")
    for line in damaged:
        print(line, file=sys.stderr)
    if damaged:
        print(f"oneshot data: {len(damaged)} of {len(dataset):,} images cannot be read", file=sys.stderr)
    return 2 if damaged else 0


def _more(names: Sequence[str], shown: int) -> str:
    return f" and {len(names) - shown} more" if len(names) > shown else ""


def subset(argv: Sequence[str]) -> None:
    """The SubImageNet protocol."""
    about = "Choose classes and images of an image folder by seed: SubImageNet, arXiv 2104.11522, section 3.1.2"
    to = parser("data subset", about, SUBSET_EXAMPLE)
    to.add_argument("folder", type=str, help="folder with one folder of images for each class")
    to.add_argument(
        "out", type=str, help="new image folder with train/, valid/ and subset.json, which names the images"
    )
    to.add_argument("--classes", type=int, default=100, help="how many classes")
    to.add_argument("--train", type=int, default=250, help="training images of each")
    to.add_argument("--valid", type=int, default=250, help="validation images of each")
    to.add_argument(
        "--test", type=int, default=0, help="test images of each; with 0 the validation images serve as such"
    )
    to.add_argument("--seed", type=int, default=0, help="of the choice")
    fewer = "these numbers at most: a class with fewer images gives all of them, in the same proportions"
    to.add_argument("--at-most", action="store_true", help=fewer)
    to.add_argument("--link", action="store_true", help="hard links in place of copies")
    args = to.parse_args(list(argv))
    from oneshot.base.files import read_json
    from oneshot.base.progress import Progress
    from oneshot.data.subset import RECORD, Protocol, write_subset

    protocol = Protocol(args.classes, args.train, args.valid, args.test, args.seed, args.at_most)
    with Progress("subset", protocol.classes * sum(protocol.parts.values()), "images") as progress:
        out = write_subset(args.folder, args.out, protocol, args.link, on_image=progress.advance)
    chosen = {part: sum(map(len, images.values())) for part, images in read_json(out / RECORD)["images"].items()}
    counts = ", ".join(f"{count:,} in {part}/" for part, count in chosen.items())
    print(f"{out}: {counts}, {protocol.classes} classes")
