"""`oneshot data`: fetch a data set through torchvision once, and keep it as NAME.npz in the data folder."""

from __future__ import annotations

from collections.abc import Sequence

from oneshot.cli.options import add_data_dir, parser

EXAMPLE = "oneshot data cifar10 --data-dir data"


def main(argv: Sequence[str]) -> None:
    to = parser("data", __doc__ or "", EXAMPLE)
    to.add_argument("name", type=str, help="cifar10 or cifar100 (digits needs no fetching)")
    here = "torchvision's folder, if it is here already"
    to.add_argument("--from", dest="source", type=str | None, default=None, help=here)
    add_data_dir(to)
    args = to.parse_args(list(argv))
    from oneshot.data import fetch, load

    if args.name == "digits":
        print("digits comes with scikit-learn: nothing to fetch")
        return
    path = fetch(args.name, args.data_dir, args.source)
    dataset = load(str(path))
    print(f"{path}: {len(dataset.pool):,} training and {len(dataset.test):,} test images, {dataset.classes} classes")
