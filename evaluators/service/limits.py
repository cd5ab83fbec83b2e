"""What a service takes on at most."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Sizes and times; more of any is refused, never dropped silently."""

    archs: int = 10_000
    """Architectures a request."""
    body: int = 4 << 20
    """Bytes of a request's body."""
    queue: int = 20_000
    """Architectures that wait for their evaluation."""
    batch: int = 32
    """Architectures in one pass of the evaluator, which are committed together."""
    deadline: float = 60.0
    """Seconds until a request is answered, with an error if need be."""
    connections: int = 512
    """Requests that are answered at the same time, and connections that are kept (a few more, for probes)."""
    idle: float = 10.0
    """Seconds that a connection may take to ask, and the body of a request from one part to the next."""
    gather: float = 0.005
    """Seconds that a pass waits for company."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name} must be more than 0, got {getattr(self, field.name)}")
        if self.queue < self.archs:
            raise ValueError(f"the queue must hold a whole request of {self.archs} architectures, got {self.queue}")


def read_token(path: Path) -> str:
    """The bearer token in a file; ValueError where it is empty or cannot be sent in a header."""
    token = path.read_text(encoding="utf-8", errors="replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"{path} holds no token: expected one word of printable ASCII characters")
    return token
