"""Formats in, images out; what ships is registered here, by reference."""

from oneshot.registry import FORMATS

FORMATS.register("datasets", "oneshot.data.hub:HUB")
FORMATS.register("digits", "oneshot.data.load:DIGITS")
FORMATS.register("folder", "oneshot.data.load:FOLDER")
FORMATS.register("npz", "oneshot.data.load:NPZ")
FORMATS.register("shards", "oneshot.data.shards:SHARDS")
FORMATS.register("torchvision", "oneshot.data.vision:TORCHVISION")
