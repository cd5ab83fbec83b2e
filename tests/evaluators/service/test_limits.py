"""Limits are checked when they are set, tokens when they are read."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from oneshot.evaluators.service.limits import Limits, read_token


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_is_positive(name: str) -> None:
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"{name} must be more than 0, got {value}"):
            Limits(**{name: value})


def test_the_queue_holds_a_request() -> None:
    assert Limits(archs=5, queue=5).queue == 5
    with pytest.raises(ValueError, match="must hold a whole request of 6 architectures, got 5"):
        Limits(archs=6, queue=5)


@pytest.mark.parametrize("text", ["secret", "secret\n", "  s3cr3t-._~+/=  \n"])
def test_tokens(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    assert read_token(path) == text.strip()


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", b"two\nlines", b"ma\xc3\xb1ana", b"\xff\xfe", b"a\x00b"]
)
def test_no_tokens(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no token: expected one word"):
        read_token(path)
