"""A file of one's own works with every command; what is wrong with it is said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from oneshot.cli import main
from oneshot.registry import registered_for_a_while
from perf import forked

ROOT = Path(__file__).resolve().parents[1]
CHAIN = ROOT / "docs" / "digits_chain.py"
SMALL = (
    "--dataset", "digits", "--split", "half", "--epochs", "1", "--batch-size", "108", "--shift", "0", "--flip", "false",
)  # fmt: skip

TOGETHER = """
import contextlib, io, json, sys
from oneshot.cli import main
from oneshot.registry import registered_for_a_while
said = []
for words in json.loads(sys.argv[1]):
    with registered_for_a_while(), contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0, words
    said.append(out.getvalue())
print(json.dumps(said))
"""

SPACE = """
from oneshot.spaces.sequential import sequential
space = sequential("mine", ("a", "b"), 2)
"""


def oneshot(*words: str | Path, fresh: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, since plugins stay loaded; a fresh one imports everything itself."""
    env, command = {**os.environ, "OMP_NUM_THREADS": "1", **environment}, ["-m", "oneshot", *map(str, words)]
    if not fresh:
        return forked.run(command, ROOT, env, timeout=240)
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)


def fresh(*commands: Sequence[str | Path]) -> list[str]:
    """What each command says, all of them in one process that imports everything itself; each loads its plugins."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", TOGETHER, words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def done(*words: str | Path, fresh: bool = False, **environment: str) -> str:
    found = oneshot(*words, fresh=fresh, **environment)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that says why a command does nothing."""

    def say(*words: str | Path) -> str:
        capsys.readouterr()
        with registered_for_a_while():
            assert main([str(word) for word in words]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    return say


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the chain."""
    path = tmp_path_factory.mktemp("plugins") / "run"
    done(
        "train",
        "--plugin",
        CHAIN,
        "--space",
        "digits-chain",
        "--width",
        "4",
        "--sampler",
        "fair",
        *SMALL,
        "--out",
        path,
    )
    return path


def test_a_chain_is_one_file_of_45_lines() -> None:
    lines = CHAIN.read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 45


def test_every_command_takes_it(run: Path, tmp_path: Path) -> None:
    plugin = ("--plugin", CHAIN)
    assert "digits-chain" in done("spaces", *plugin)
    evolved = ("--algorithm", "nsga2", "--population", "4", "--generations", "2")
    table, file = tmp_path / "t.parquet", tmp_path / "p.parquet"
    made = ("--space", "digits-chain", *SMALL, "--sample", "4", "--seeds", "0", "1", "--workers", "2")
    predicted, front, _, _, scored = fresh(
        ("predict", run, *plugin, "conv3-skip-k3e2", "skip-skip-skip", "--json"),
        ("search", run, *plugin, *evolved, "--json"),
        ("benchmark", "create", table, *plugin, *made),
        ("predict", run, f"--plugin={CHAIN}", "--from", table, "--out", file),
        ("score", file, *plugin, "--benchmark", table, "--json"),
    )
    rows = json.loads(predicted)["predictions"]
    assert [row["arch"] for row in rows] == ["conv3-skip-k3e2", "skip-skip-skip"]
    assert json.loads(front)["front"][0]["params"] > 0
    assert "4 architectures of digits-chain" in done("benchmark", "show", table, *plugin)
    report = json.loads(scored)
    alike = report["protocol"].get("same_ranking", {})
    assert {"parameters", "multiply_adds"} <= {*report["baselines"], *(n for names in alike.values() for n in names)}
    arch = "conv3-skip-k3e2"
    csv = tmp_path / "m.csv"
    csv.write_text(f"arch,digits_test\n{arch},50.5\nskip-skip-skip,40\n")
    done("benchmark", "import", tmp_path / "imported.parquet", csv, *plugin, "--space", "digits-chain")
    assert json.loads(done("benchmark", "query", tmp_path / "imported.parquet", arch, *plugin, "--json"))
    found = done(
        "search", *plugin, "--benchmark", tmp_path / "imported.parquet", "--algorithm", "random", "--population", "2"
    )
    assert arch in found


def test_the_environment_and_ray_s_processes_take_it(run: Path) -> None:
    pytest.importorskip("ray")
    found = oneshot(
        "predict", run, "--sample", "4", "--cluster", "local", "--workers", "1", "--json", ONESHOT_PLUGINS=str(CHAIN)
    )
    assert found.returncode == 0, found.stderr
    assert len(json.loads(found.stdout)["predictions"]) == 4


def test_torchrun_s_processes_take_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "oneshot"]
    words = ["train", "--plugin", CHAIN, "--space", "digits-chain", *SMALL, "--out", tmp_path / "run"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run([*command, *map(str, words)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert found.returncode == 0, found.stderr[-3000:]
    assert (tmp_path / "run" / "checkpoint.json").is_file()


def test_a_run_says_what_it_needs_and_never_imports_it(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    recorded = json.loads((run / "config.json").read_text())["plugins"]
    assert list(recorded) == ["digits_chain.py"]
    assert len(recorded["digits_chain.py"]) == 64
    assert refused("predict", run, "--sample", "2") == (
        f"oneshot predict: {run} was made with the plugin digits_chain.py, which is not loaded: name it with "
        "--plugin digits_chain.py, in Python oneshot.use_plugin('digits_chain.py')"
    )
    changed = tmp_path / "digits_chain.py"
    changed.write_text(CHAIN.read_text() + "# changed\n")
    found = oneshot("predict", run, "--plugin", changed, "--sample", "2", "--json")
    assert found.returncode == 0
    assert f"the plugin digits_chain.py was {recorded['digits_chain.py']}, is " in found.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file"),
        ("1 / 0", "the plugin bad.py fails: ZeroDivisionError: division by zero (bad.py, line 1)"),
        ("def (", "the plugin bad.py fails: SyntaxError: "),
        (SPACE + "from oneshot import register_space\nregister_space(space, None)\nregister_space(space, None)",
         "there is a search space 'mine' already, registered by bad.py"),
        ("from oneshot.registry import SAMPLERS\nSAMPLERS.register('uniform', object)",
         "there is a sampler 'uniform' already, registered by what ships"),
        ("from oneshot.registry import SAMPLERS\nSAMPLERS.register('two words', object)", "must be one word"),
    ],
)  # fmt: skip
def test_a_bad_file(content: str | None, says: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "bad.py"
    if content is not None:
        path.write_text(content)
    assert says in refused("spaces", "--plugin", path)


def test_a_space_without_a_network(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "bare.py"
    path.write_text(SPACE + "from oneshot.registry import SPACES\nSPACES.register(space.name, space)\n")
    said = refused("train", "--plugin", path, "--space", "mine", *SMALL, "--out", tmp_path / "run")
    assert "the search space mine (of bare.py) has no network: register it with" in said
    assert not (tmp_path / "run").exists()


def test_a_parse_that_raises_is_the_space_s_fault(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "odd.py"
    path.write_text(
        textwrap.dedent("""
        from dataclasses import dataclass
        from oneshot import Decision
        from oneshot.registry import SPACES
        from oneshot.spaces.sequential import Sequential

        @dataclass(frozen=True)
        class Odd(Sequential):
            def parse(self, text):
                return {}[text]

        SPACES.register("odd", Odd("odd", (Decision("a", ("x", "y")),)))
        """)
    )
    table = tmp_path / "t.csv"
    table.write_text("arch,digits_test\nx,1\ny,2\n")
    said = refused("benchmark", "import", tmp_path / "t.parquet", table, "--plugin", path, "--space", "odd")
    assert "the search space odd fails to read 'x': KeyError: 'x'" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--method", "darts", "--method.temperature", "5"), "temperature"),
        (("--method", "gdas", "--temprature", "5"), "did you mean temperature?"),
        (("--method.xi", "1"), "xi"),
        (("--temperature", "5"), "temperature is a setting of method gdas"),
        (("--method", "dartz"), "; did you mean darts?"),
        (("--sampler", "balanced", "--bucket-weights", "[-1]"), "bucket_weights must be numbers of at least 0"),
        (("--method", "darts", "--sampler", "fair"), "sampler must be uniform, got fair"),
        (("--space", "nasbench101", "--method", "gdas"), "it can search nasbench201"),
        (("--space", "nasnet", "--context", "bias"), "depend on earlier choices in the networks of nasbench201"),
        (("--batch-sise", "1"), "did you mean"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(
    words: tuple[str, ...], says: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert says in refused("train", *words, *SMALL, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_help_shows_the_settings_of_what_is_chosen() -> None:
    text = done("train", "--method", "gdas", "--sampler", "uniform", "--help")
    assert "settings of method gdas" in text
    assert "--method.temperature" in text
    assert "--sampler.bucket_weights" not in text
    assert "--method.temperature 7" not in text
    config = done("train", "--preset", "cpu45", "--method", "single-path", "--print_config", "--out", "x")
    assert "bucket_weights" in config


def test_a_file_of_options_chooses_too(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("method:\n  name: gdas\n  temperature: 3\nspace:\n  name: nasbench201\n  channels: 2\n  cells: 1\n")
    done("train", "--config", path, *SMALL, "--out", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["method"] == {
        "name": "gdas",
        "temperature": 3.0,
        "last_temperature": 0.1,
        "arch_learning_rate": 3e-4,
        "arch_weight_decay": 1e-3,
    }
    assert config["space"]["channels"] == 2


def test_an_installed_package_is_a_plugin(tmp_path: Path) -> None:
    """By the entry-point group `oneshot.plugins`."""
    (tmp_path / "mypackage.py").write_text(CHAIN.read_text())
    info = tmp_path / "mypackage-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text("[oneshot.plugins]\nmypackage = mypackage\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    assert "digits-chain" in done("spaces", fresh=True, PYTHONPATH=path)


def test_three_lines_test_a_component_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        textwrap.dedent(f"""
        import pytest
        from oneshot.registry import SPACES, use_plugin
        from oneshot.testing import SkeletonContract, SpaceContract

        use_plugin({str(CHAIN)!r})

        @pytest.mark.parametrize("space", [SPACES["digits-chain"]])
        class TestSpace(SpaceContract): ...

        @pytest.mark.parametrize("name", ["digits-chain"])
        class TestNetwork(SkeletonContract): ...
        """)
    )
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_mine.py"]
    found = forked.run(command, tmp_path, {**os.environ, "PYTEST_ADDOPTS": ""}, timeout=240)
    assert found.returncode == 0, found.stdout[-3000:]
    assert "passed" in found.stdout


SCORE = """
from dataclasses import dataclass
from typing import ClassVar
from oneshot.evaluators.training_free.base import Single
from oneshot.registry import EVALUATORS

@EVALUATORS.register("weights")
@dataclass(frozen=True)
class Weights(Single):
    name: ClassVar[str] = "weights"
    power: float = 1.0

    def score(self, subject):
        return float(sum(p.abs().pow(self.power).sum() for p in subject.net.parameters()))
"""


def test_a_score_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "weights.py"
    file.write_text(SCORE)
    words = ("predict", "--plugin", file, "--evaluator", "weights", "--space", "nasbench201", "--channels", "4")
    printed = done(*words, "--power", "2", "--sample", "3", "--json", XDG_CACHE_HOME=str(tmp_path))
    document = json.loads(printed)
    assert document["protocol"]["quantity"] == "weights score"
    assert document["protocol"]["settings"]["power"] == 2.0
    assert list(document["protocol"]["plugins"]) == ["weights.py"]
    assert all(row["score"] > 0 for row in document["predictions"])
    assert "weights" in done("predict", "--plugin", file, "--help")


def test_scores_read_networks_of_ones_own(tmp_path: Path) -> None:
    """A chain, an MLP and a transformer; what a score cannot read it says."""
    words = ("predict", "--plugin", ROOT / "docs" / "small_networks.py", "--sample", "2", "--json")
    for name, space in (("az-nas", "small-vit"), ("naswot", "small-cnn"), ("vkdnw", "small-mlp")):
        more = ("--reference", "4") if name == "az-nas" else ()
        given = ("--evaluator", name, "--space", space, "--dataset", "noise", "--batch", "4", *more)
        document = json.loads(done(*words, *given, XDG_CACHE_HOME=str(tmp_path)))
        assert all(isinstance(row["score"], float) for row in document["predictions"])
    refused = oneshot(*words, "--evaluator", "naswot", "--space", "small-vit", "--dataset", "noise")
    assert refused.returncode == 2
    assert "naswot reads the signs of ReLUs, of which this network has none" in refused.stderr
    assert "Traceback" not in refused.stderr
