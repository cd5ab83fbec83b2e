"""Run folders: nothing half written, nothing damaged accepted."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from oneshot.base.state import load_optimizer, optimizer_state
from oneshot.runs.folder import RunFolder
from oneshot.training.state import load_network, network_state

CONFIG = {"epochs": 3, "space": {"name": "x"}}


def saved(path: Path) -> RunFolder:
    folder = RunFolder.create(path / "run", CONFIG)
    folder.save({"net.w": torch.arange(6.0)}, 1, {"seconds": 2.0})
    return folder


def test_save_and_load(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    folder.save({"net.w": torch.arange(4.0)}, 2, {"seconds": 3.0})
    loaded = RunFolder(folder.path).load()
    assert loaded is not None
    assert torch.equal(loaded[0]["net.w"], torch.arange(4.0))
    assert loaded[1]["epoch"] == 2
    assert sorted(p.name for p in folder.path.iterdir()) == ["checkpoint.json", "config.json", "state-2.safetensors"]


def test_channels_last_is_saved_by_value(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, CONFIG)
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    folder.save({"x": x}, 1, {})
    loaded = folder.load()
    assert loaded is not None
    assert torch.equal(loaded[0]["x"], x)


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "foreign", "outside", "no json", "keys"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    folder = saved(tmp_path)
    state, commit = folder.path / "state-1.safetensors", folder.path / "checkpoint.json"
    content = state.read_bytes()
    if damage == "missing":
        state.unlink()
    elif damage == "truncated":
        state.write_bytes(content[:-3])
    elif damage == "flipped":
        state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "no json":
        commit.write_text("{")
    else:
        document = json.loads(commit.read_text())
        if damage == "foreign":
            state.write_bytes(b"pickle")
            document["sha256"] = hashlib.sha256(b"pickle").hexdigest()
        elif damage == "outside":
            document["file"] = "../../etc/passwd"
        else:
            del document["epoch"]
        commit.write_text(json.dumps(document))
    words = {
        "missing": "is missing", "truncated": "changed or cut short", "flipped": "changed or cut short",
        "foreign": "no safetensors file", "outside": "must name a file of the run folder",
        "no json": "no JSON document", "keys": "must hold file, sha256, epoch, facts",
    }[damage]  # fmt: skip
    with pytest.raises(ValueError, match=words):
        folder.load()


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    RunFolder.create(tmp_path / "run", CONFIG)
    with pytest.raises(ValueError, match="another configuration: epochs 3 there, 4 now"):
        RunFolder.create(tmp_path / "run", {**CONFIG, "epochs": 4})


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="is not empty and holds no run"):
        RunFolder.create(tmp_path, CONFIG)
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        _ = RunFolder(tmp_path).config


def test_a_failed_save_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("oneshot.base.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.save({"net.w": torch.zeros(2)}, 2, {})
    monkeypatch.undo()
    loaded = folder.load()
    assert loaded is not None
    assert loaded[1]["epoch"] == 1
    assert not list(folder.path.glob(".*"))


def test_metrics_are_rewound_to_the_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, CONFIG)
    for epoch in (1, 2, 3):
        folder.log({"epoch": epoch})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    folder.rewind(2)
    assert [row["epoch"] for row in folder.metrics] == [1, 2]


def test_a_network_that_does_not_fit_is_named() -> None:
    state = network_state(nn.Sequential(nn.Linear(2, 3)))
    with pytest.raises(ValueError, match=r"1 differences, first 0\.weight \(3, 2\) for \(3, 4\)"):
        load_network(nn.Sequential(nn.Linear(4, 3)), state)
    with pytest.raises(ValueError, match=r"first 0\.bias"):
        load_network(nn.Sequential(nn.Linear(2, 3, bias=False)), state)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_optimizers_round_trip_with_parameters_that_never_moved(kind: type) -> None:
    def make() -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
        ps = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
        return ps, kind(ps, lr=0.1, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))

    def step(ps: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        ps[1].grad = ps[1].detach() * 2
        optimizer.step()

    (a, first), (b, second) = make(), make()
    step(a, first)
    with torch.no_grad():
        b[1].copy_(a[1])
    load_optimizer("o", second, optimizer_state("o", first))
    step(a, first)
    step(b, second)
    assert torch.equal(a[1], b[1])
    assert torch.equal(b[0], torch.ones(2))


def test_a_folder_of_leftovers_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / ".config.json.123.tmp").write_text("{")
    assert RunFolder.create(tmp_path, CONFIG).config["epochs"] == 3
    (tmp_path / ".state-2.safetensors.123.tmp").write_bytes(b"half")
    (tmp_path / ".p.parquet.123.tmp").write_bytes(b"of a prediction that is being written")
    RunFolder.create(tmp_path, CONFIG)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".p.parquet.123.tmp", "config.json"]


def test_a_commit_of_another_epoch_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    path = folder.path / "checkpoint.json"
    commit = {**json.loads(path.read_text()), "epoch": 2, "file": "state-2.safetensors"}
    (folder.path / "state-1.safetensors").rename(folder.path / "state-2.safetensors")
    path.write_text(json.dumps(commit))
    with pytest.raises(ValueError, match=r"says epoch 2 of state-2.safetensors, which is of epoch 1"):
        folder.load()


def test_readers_find_a_whole_state_while_another_process_saves(tmp_path: Path) -> None:
    """As fast as it can; the state says which epoch it is of."""
    folder = RunFolder.create(tmp_path, CONFIG)
    writer = multiprocessing.get_context("fork").Process(target=_save_on_and_on, args=(folder,))
    writer.start()
    try:
        while folder.commit is None:
            assert writer.is_alive()
        seen, end = list[int](), time.monotonic() + 4
        while time.monotonic() < end:
            loaded = folder.load()
            assert loaded is not None
            state, commit = loaded
            assert state["net.w"].tolist() == [commit["epoch"]] * 3
            assert all(row["epoch"] == number for number, row in enumerate(folder.metrics, 1))
            seen.append(commit["epoch"])
    finally:
        writer.kill()
        writer.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 20
    assert len(list(tmp_path.glob("state-*"))) in (1, 2)


def _save_on_and_on(folder: RunFolder) -> None:
    torch.set_num_threads(1)
    for epoch in range(1, 100_000):
        folder.log({"epoch": epoch})
        folder.save({"net.w": torch.full((3,), float(epoch))}, epoch, {})


def test_a_half_written_row_is_not_read(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, CONFIG)
    folder.log({"epoch": 1})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "lo')
    assert [row["epoch"] for row in folder.metrics] == [1]


@pytest.mark.parametrize("epoch", [0, 2, -1])
def test_an_epoch_that_is_not_its_files_is_refused(tmp_path: Path, epoch: int) -> None:
    folder = saved(tmp_path)
    path = folder.path / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "epoch": epoch}))
    with pytest.raises(ValueError, match=f"contradicts itself: epoch {epoch} in the file 'state-1.safetensors'"):
        folder.load()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("w.0.momentum_buffer", torch.zeros(3, 2), r"shape \(3, 2\), its parameter \(2, 3\)"),
        ("w.0.momentum_buffer", torch.zeros(2, 3, 1), r"shape \(2, 3, 1\), its parameter \(2, 3\)"),
        ("w.1.momentum_buffer", torch.zeros(2, 3), "no parameter of 'w.1.momentum_buffer'"),
        ("w.x.momentum_buffer", torch.zeros(2, 3), "no parameter of 'w.x.momentum_buffer'"),
        ("w.0", torch.zeros(2, 3), "no parameter of 'w.0'"),
    ],
)
def test_an_optimisers_state_of_another_shape_is_refused(name: str, value: torch.Tensor, said: str) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2, 3))], 0.1, 0.9)
    with pytest.raises(ValueError, match=f"the checkpoint does not fit this optimiser: .*{said}"):
        load_optimizer("w", optimizer, {name: value})


def test_threads_differ_without_another_configuration(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", {**CONFIG, "threads": 1})
    assert RunFolder.create(tmp_path / "run", {**CONFIG, "threads": 4}).config["threads"] == 1
