"""Who may be asked, and by whose page: against DNS rebinding and requests that foreign pages forge."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "*.localhost", "127.0.0.1", "::1")
LONGEST = 300
"""Characters of a `Host` or `Origin`: a name has 253 at most."""
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:/@?#\[\]\s]+)(:\d{1,5})?", re.IGNORECASE)
PATTERN = re.compile(r"\*|(\*\.)?([a-z0-9_-]+\.)*[a-z0-9_-]+\.?|[0-9a-f:.]+", re.IGNORECASE)

Headers = Sequence[tuple[bytes, bytes]]


class Hosts:
    """The names that a service answers to: this machine's loopback, the address that a connection came to, and `names`.

    A name may be a domain, an address, `*.example.org` for what lies below it, or `*` for any; ValueError for others.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self.names = (*LOOPBACK, *(_pattern(name) for name in names))
        self.accepts = lru_cache(256)(self._accepts)

    def refusal(self, headers: Headers, came_to: str, version: str, page: bool) -> str | None:
        """Why a request is refused, in a sentence; a `page` is without data, so that any site may link to it."""
        hosts = [value for name, value in headers if name == b"host"]
        origins = [value for name, value in headers if name == b"origin"]
        if len(hosts) != 1 and not (version == "1.0" and not hosts):
            return f"expected one header 'Host', got {len(hosts)}"
        for host in hosts:
            text = host[:LONGEST].decode("latin-1")
            if len(host) > LONGEST or not self.accepts(text, came_to):
                return f"this service does not answer to the host {text!r}: start it with --allow-host to accept it"
        for origin in origins:
            text = origin[:LONGEST].decode("latin-1")
            if len(origin) > LONGEST or not self.accepts(_netloc(text), came_to):
                return f"pages of {text!r} may not ask this service: start it with --allow-host to accept them"
        if not origins and not page and (b"sec-fetch-site", b"cross-site") in headers:
            return "pages of other sites may not ask this service"
        return None

    def _accepts(self, host: str, came_to: str) -> bool:
        """Whether the value of a `Host` header, a name with or without a port, is one of the names."""
        match = HOST.fullmatch(host)
        if match is None:
            return False
        name = _plain(match["name"].strip("[]"))
        return name == _plain(came_to) or any(_fits(name, pattern) for pattern in self.names)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _pattern(name: str) -> str:
    bare = name.strip("[]").partition("%")[0]
    if not PATTERN.fullmatch(bare):
        raise ValueError(f"expected the name of a host such as gpu.example.org, *.example.org or *, got {name!r}")
    return _plain(bare)


def _plain(name: str) -> str:
    """One spelling for a name or an address."""
    try:
        return str(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        return name.rstrip(".").lower()


def _fits(name: str, pattern: str) -> bool:
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]) and name != pattern[1:])


def _netloc(origin: str) -> str:
    """Of `https://name:port`; nothing of `null`, which files and sandboxed pages send."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
