"""`oneshot data`: fetch a data set through torchvision once, and keep it as NAME.npz; or take a subset of a folder.

`oneshot data subset` chooses classes and images of an image folder by seed.
"""

from __future__ import annotations

from collections.abc import Sequence

from oneshot.cli.options import add_data_dir, parser

EXAMPLE = "oneshot data cifar10 --data-dir data"
SUBSET_EXAMPLE = "oneshot data subset imagenet/train subimagenet --classes 100 --train 250 --valid 250 --seed 0"


def main(argv: Sequence[str]) -> None:
    if list(argv[:1]) == ["subset"]:
        subset(argv[1:])
        return
    to = parser("data", __doc__ or "", EXAMPLE)
    to.add_argument("name", type=str, help="cifar10 or cifar100 (digits needs no fetching), or subset")
    here = "torchvision's folder, if it is here already"
    to.add_argument("--from", dest="source", type=str | None, default=None, help=here)
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.data.load import fetch, load

    if args.name == "digits":
        print("digits comes with scikit-learn: nothing to fetch")
        return
    path = fetch(args.name, args.data_dir, args.source)
    dataset = load(str(path))
    print(f"{path}: {len(dataset.pool):,} training and {len(dataset.test):,} test images, {dataset.classes} classes")


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
    to.add_argument("--link", action="store_true", help="hard links in place of copies")
    args = to.parse_args(list(argv))
    from oneshot.base.progress import Progress
    from oneshot.data.subset import Protocol, write_subset

    protocol = Protocol(args.classes, args.train, args.valid, args.test, args.seed)
    with Progress("subset", protocol.classes * sum(protocol.parts.values()), "images") as progress:
        out = write_subset(args.folder, args.out, protocol, args.link, on_image=progress.advance)
    counts = ", ".join(f"{protocol.classes * count:,} in {part}/" for part, count in protocol.parts.items())
    print(f"{out}: {counts}, {protocol.classes} classes")
