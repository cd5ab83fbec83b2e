"""Search spaces from ordinary networks: a small CNN, an MLP, and a small vision transformer."""

import torch
from torch import nn

from oneshot import Choice, register_network


def convolution(channels, kernel):
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2), nn.BatchNorm2d(channels), nn.ReLU()
    )


def cnn(classes):
    """A chain: architectures that begin alike share the work."""
    layers = [Choice(f"layer{i}", {f"k{k}": convolution(8, k) for k in (1, 3, 5)}) for i in range(3)]
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
    return nn.Sequential(stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


def mlp(classes):
    """Three hidden layers, each with an activation of its choice, or left out; BatchNorm over vectors."""
    hidden = [
        Choice(f"hidden{i}", {"relu": block(nn.ReLU()), "tanh": block(nn.Tanh()), "none": nn.Identity()})
        for i in range(3)
    ]
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 32), *hidden, nn.Linear(32, classes))


def block(activation):
    return nn.Sequential(nn.Linear(32, 32), nn.BatchNorm1d(32), activation)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(width), nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        y = self.norm(x)
        return x + self.attend(y, y, y, need_weights=False)[0]


class Mlp(nn.Module):
    def __init__(self, width, ratio):
        super().__init__()
        inner = width * ratio
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x):
        return x + self.layers(x)


class Transformer(nn.Module):
    """Depth by skips, attention heads and MLP width as options; images of 8x8 are 16 patches."""

    def __init__(self, classes, width=16, depth=2):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 2, 2)
        self.place = nn.Parameter(0.02 * torch.randn(1, 16, width))
        blocks = []
        for i in range(depth):
            heads = {f"heads{n}": Attention(width, n) for n in (1, 2, 4)}
            widths = {f"ratio{n}": Mlp(width, n) for n in (1, 2)}
            blocks += [Choice(f"attention{i}", heads | {"skip": nn.Identity()})]
            blocks += [Choice("mlp", widths)]  # one decision for all blocks
        self.blocks, self.head = nn.ModuleList(blocks), nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.place
        for module in self.blocks:
            x = module(x)
        return self.head(x.mean(1))


register_network("small-cnn", cnn, image_size=8)
register_network("small-mlp", mlp, image_size=8)
register_network("small-vit", Transformer, image_size=8)
