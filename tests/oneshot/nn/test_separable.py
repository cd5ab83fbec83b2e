import pytest
import torch
import torch.nn.functional as F

from oneshot.nn.operations import Skip, Zero
from oneshot.nn.separable import FactorizedReduce, Separable, cells
from oneshot.spaces.cell_operations import DIL3


@pytest.mark.parametrize("stride", [1, 2])
def test_separable_equals_its_layers_written_out(stride: int) -> None:
    operation = Separable(4, 6, stride, kernel=5)
    x = torch.randn(3, 4, 8, 8)
    depthwise, pointwise, _, _, second, project, _ = operation.layers
    y = F.conv2d(F.relu(x), depthwise.weight, stride=stride, padding=2, groups=4)  # pyright: ignore
    y = F.batch_norm(F.conv2d(y, pointwise.weight), None, None, training=True)  # pyright: ignore
    y = F.conv2d(F.relu(y), second.weight, padding=2, groups=4)  # pyright: ignore
    y = F.batch_norm(F.conv2d(y, project.weight), None, None, training=True)  # pyright: ignore
    assert torch.allclose(operation(operation.prepare(x)), y, atol=1e-5)
    assert y.shape == (3, 6, 8 // stride, 8 // stride)


def test_a_dilated_convolution_reaches_as_far_as_it_says() -> None:
    operation = cells(affine=False)[DIL3](1, 1, 1).eval()
    with torch.no_grad():
        for p in operation.parameters():
            p.fill_(1.0)
        x = torch.zeros(1, 1, 11, 11)
        x[..., 5, 5] = 1.0
        reached = operation(x)[0, 0].nonzero()
    assert {tuple(place) for place in reached.tolist()} == {(i, j) for i in (3, 5, 7) for j in (3, 5, 7)}


def test_factorized_reduce_reads_even_and_odd_pixels() -> None:
    operation = FactorizedReduce(1, 2, affine=False).eval()
    with torch.no_grad():
        for conv in (operation.even, operation.odd):
            conv.weight.fill_(1.0)
        x = torch.arange(16.0).view(1, 1, 4, 4)
        y = operation(x)[0] * (1 + operation.norm.eps) ** 0.5
    assert torch.allclose(y[0], torch.tensor([[0.0, 2.0], [8.0, 10.0]]))
    assert torch.allclose(y[1], torch.tensor([[5.0, 7.0], [13.0, 15.0]]))


@pytest.mark.parametrize("stride", [1, 2])
def test_every_operation_keeps_or_halves_the_image(stride: int) -> None:
    x = torch.randn(2, 4, 8, 8)
    for name, make in cells(affine=True).items():
        operation = make(4, 4, stride)
        if isinstance(operation, Zero):
            continue
        prepare = getattr(operation, "prepare", lambda x: x)
        assert operation(prepare(x)).shape == (2, 4, 8 // stride, 8 // stride), name
        assert (stride == 1) == isinstance(operation, Skip) if name == "skip_connect" else True


def test_average_pooling_does_not_count_the_border() -> None:
    pool = cells(affine=False)["avg_pool_3x3"](1, 1, 2)
    assert torch.equal(pool(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 2, 2))
