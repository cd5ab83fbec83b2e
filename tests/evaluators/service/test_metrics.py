"""The counters in Prometheus's text, read back by its own parser."""

from __future__ import annotations

from oneshot.evaluators.service.metrics import SIZES, Metrics
from prometheus_client.parser import text_string_to_metric_families


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Values by name and labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_by_method_route_and_status() -> None:
    metrics = Metrics(lambda: 0, lambda: 0)
    for method, status, seconds in (("GET", 200, 0.002), ("GET", 200, 0.3), ("GET", 404, 99.0), ("BREW", 418, 0.1)):
        metrics.answered(method, "/v1/space", status, seconds)
    found = samples(metrics)
    assert found["oneshot_requests_total", ("GET", "/v1/space", "200")] == 2
    assert found["oneshot_requests_total", ("GET", "/v1/space", "404")] == 1
    assert found["oneshot_requests_total", ("other", "/v1/space", "418")] == 1
    buckets = {labels[0]: value for (name, labels), value in found.items() if name == "oneshot_request_seconds_bucket"}
    assert [buckets[most] for most in ("0.001", "0.0025", "0.1", "0.5", "60.0", "+Inf")] == [0, 1, 2, 3, 3, 4]


def test_passes_and_what_was_asked() -> None:
    metrics = Metrics(lambda: 0, lambda: 0)
    for size in (1, 32, 33):
        metrics.passed(size, 0.5)
    metrics.found(7, 2)
    metrics.found(0, 3)
    found = samples(metrics)
    assert found["oneshot_pass_size_sum", ()] == 66
    assert found["oneshot_pass_seconds_sum", ()] == 1.5
    assert [found["oneshot_pass_size_bucket", (f"{size}.0",)] for size in SIZES[:7]] == [1, 1, 1, 1, 1, 2, 3]
    assert found["oneshot_architectures_total", ("yes",)] == 7
    assert found["oneshot_architectures_total", ("no",)] == 5


def test_gauges_are_read_when_asked_and_services_are_apart() -> None:
    waiting = [3]
    metrics, other = Metrics(lambda: waiting[0], lambda: 9), Metrics(lambda: 1, lambda: 1)
    assert samples(metrics)["oneshot_queue", ()] == 3
    waiting[0] = 4
    metrics.found(1, 1)
    assert samples(metrics)["oneshot_queue", ()] == 4
    assert samples(metrics)["oneshot_known", ()] == 9
    assert samples(other)["oneshot_queue", ()] == 1
    assert ("oneshot_architectures_total", ("yes",)) not in samples(other)
