"""Several processes of one training, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def local_device(device: str) -> torch.device:
    """This process's own device: with several processes on one machine, each takes its GPU."""
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device(device)


def is_first() -> bool:
    """Whether this is the only process, or the first that torchrun started; also before they are joined."""
    return int(os.environ.get("RANK", "0")) == 0


def barrier() -> None:
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started and leave them together; nothing to do outside torchrun.

    Who leaves alone may break the connections of those who still talk.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    # Imported later, its functions' default arguments would keep the group, whose threads abort the process as it ends.
    import torch.distributed.nn.functional

    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()
    finally:
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients that there are over all processes, in one message.

    Every process must have used the same parameters; what none used keeps no gradient.
    """
    if world() == 1:
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    flat /= world()
    for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view_as(grad))


def from_first(value: Tensor) -> Tensor:
    """The first process's tensor, on all processes, which have one of the same shape and type."""
    if world() == 1:
        return value
    sent = value.detach().to("cuda") if dist.get_backend() == "nccl" else value.detach().clone()
    dist.broadcast(sent, src=0)
    return sent.to(value.device)


class _Total(torch.autograd.Function):
    """Sum over all processes; the gradient is the sum of their gradients, which has gradients of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return total(grads[0].contiguous())


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes, whose losses' gradients add up."""
    return _Total.apply(value)  # pyright: ignore[reportReturnType]


def average(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; its gradients are theirs of the mean of their losses, too."""
    return value if world() == 1 else total(value) / world()
