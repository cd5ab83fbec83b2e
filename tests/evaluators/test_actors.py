"""Work on a Ray cluster: everything is done, once or again, and errors say what happened."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

import pytest
from oneshot.evaluators.actors import Cluster, check_address

from tests.evaluators.cluster_work import Deadly, dies, facts, fails, square


def test_work_of_a_killed_actor_is_done_by_another(cluster: Cluster, tmp_path: Path) -> None:
    found = dict(cluster(partial(square, tmp_path / "killed"), [(number,) for number in range(8)]))
    assert (tmp_path / "killed").exists()
    assert {number: result[0] for number, result in found.items()} == {n: n * n for n in range(8)}
    assert os.getpid() not in {process for _, process in found.values()}


def test_work_that_always_kills_is_given_up(cluster: Cluster) -> None:
    with Cluster(actors=1, tries=2) as own:
        with pytest.raises(OSError, match=r"gave up on work that 2 actors were lost with, the last one: .*died"):
            list(own(dies, [(1,)]))
        with pytest.raises(OSError, match=r"2 actors in a row were lost as they started, the last one: .*died"):
            list(own(Deadly(), [()]))


def test_errors_of_the_work_are_raised_here(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="number 5"):
        list(cluster(fails, [(5,)]))
    assert dict(cluster(partial(square, tmp_path), [(2,)]))[0][0] == 4


def test_actors_are_as_asked(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONESHOT_DATA", "somewhere")
    with Cluster(actors=1, threads=2) as own:
        assert list(own(facts, [()])) == [(0, (str(tmp_path), 2, "somewhere"))]
        with Cluster(actors=1, threads=3, patience=0.5) as crowded, pytest.raises(OSError, match=r"of 4 CPUs free"):
            list(crowded(facts, [()]))
        assert own.size == 1


def test_one_actor_a_device(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    assert [Cluster().size, Cluster(threads=2).size, Cluster(threads=3).size] == [4, 2, 1]
    with pytest.raises(ValueError, match="has no GPU"):
        Cluster(device="cuda")
    with pytest.raises(ValueError, match="4 CPUs: too few for one actor of 5 threads"):
        Cluster(threads=5)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 3.0, "CPU": 8.0})
    found = [(c.device, c.size) for c in (Cluster(), Cluster(device="cpu"), Cluster(actors=2))]
    assert found == [("cuda", 3), ("cpu", 8), ("cuda", 2)]


def test_whatever_else_listens_there_is_no_cluster(cluster: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(OSError, match=f"no Ray cluster at {address}: nothing came of it in 2 seconds"):
            check_address(address, timeout=2)


def test_bad_settings_are_named(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="expected actors >= 0, threads and tries >= 1, got -1, 1 and 3"):
        Cluster(actors=-1)
    with pytest.raises(ValueError, match="device of a cluster is auto, cpu or cuda, got 'tpu'"):
        Cluster(device="tpu")
