"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one application; each has a registry of its own."""

    def __init__(self, waiting: Callable[[], int], known: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("oneshot_requests", "Requests answered", labels, registry=registry)
        self.seconds = Histogram(
            "oneshot_request_seconds", "Time to answer", ("route",), buckets=SECONDS, registry=registry
        )
        self.asked = Counter("oneshot_architectures", "Architectures asked for", ("known",), registry=registry)
        self.sizes = Histogram("oneshot_pass_size", "Architectures in a pass", buckets=SIZES, registry=registry)
        self.passes = Histogram("oneshot_pass_seconds", "Time of a pass", buckets=SECONDS, registry=registry)
        Gauge("oneshot_queue", "Architectures that wait", registry=registry).set_function(waiting)
        Gauge("oneshot_known", "Predictions in memory", registry=registry).set_function(known)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def passed(self, size: int, seconds: float) -> None:
        self.sizes.observe(size)
        self.passes.observe(seconds)

    def found(self, known: int, new: int) -> None:
        self.asked.labels("yes").inc(known)
        self.asked.labels("no").inc(new)

    def text(self) -> bytes:
        return generate_latest(self.registry)
