"""The whole pipeline through DVC itself, on a tiny data set, in a clone of the project."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT, set_param, write_raw
from deepchrome.trained import Models


class Clone:
    """A clone of the project with tiny parameters, and commands as a user types them."""

    def __init__(self, path: Path):
        self.path = path
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith("metrics/"):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        self.set("simulate.cells", ["E003", "E123"])
        self.set("simulate.genes", 240)
        self.set("model", "linear")
        self.set("models.linear.epochs", 5)
        self("git init -q -b main && git add -A && git commit -q -m start")

    def set(self, key: str, value: object) -> None:
        set_param(self.path / "params.yaml", key, value)

    @property
    def environment(self) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "PYTEST"))}
        environment.pop("PYTHONPATH", None)
        environment |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        return environment

    def run(self, command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )

    def kill_when(self, command: str, condition: Callable[[], object]) -> None:
        """Start a command and kill -9 it and all that it started once a condition holds."""
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 100
        while not condition():
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __call__(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def metrics(self, stage: str) -> dict:
        return json.loads((self.path / f"metrics/{stage}.json").read_text())

    def ran(self, printed: str) -> list[str]:
        return re.findall(r"Running stage '(\w+)'", printed)

    def outputs(self) -> dict[str, bytes]:
        folders = ("data", "metrics", "models", "plots", "predictions", "reports")
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for folder in folders
            for path in sorted((self.path / folder).rglob("*"))
            if path.is_file() and "failed_data_docs" not in path.parts
        }


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which 'dvc repro' has run and its results are committed."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    clone.first = clone("dvc repro")
    clone("git add -A && git commit -q -m 'First run'")
    return clone


@pytest.fixture
def restored(clone):
    """The clone as it was after its first run."""
    clone("git reset -q --hard main && git clean -qfd && dvc checkout -q --force")
    return clone


def test_repro_makes_everything_and_then_nothing(clone):
    stages = ["simulate", "ingest", "validate", "train", "evaluate", "cross_cell", "training_sets"]
    assert clone.ran(clone.first) == [*stages, "report"]
    for name in (
        "reports/index.html",
        "reports/data_docs/index.html",
        "plots/evaluate/cells.csv",
        "plots/evaluate/curves.png",
        "plots/cross_cell/auroc.png",
        "models/train/weights.safetensors",
        "predictions/cross_cell.parquet",
    ):
        assert (clone.path / name).is_file(), name
    assert clone.ran(clone("dvc repro")) == []
    hashes = {clone.metrics(stage)["dataset"] for stage in stages[1:]}
    assert len(hashes) == 1
    evaluated = clone.metrics("evaluate")
    low, high = evaluated["auroc_ci95"]
    assert 0.6 < low < evaluated["auroc"] < high < 1
    assert clone.metrics("cross_cell")["within_mean"] == evaluated["auroc"]
    rows = pd.read_csv(clone.path / "plots/evaluate/cells.csv")
    assert list(rows.columns) == ["cell", "seed", "n", "auroc", "auprc", "accuracy"]
    assert rows["auroc"].mean() == pytest.approx(evaluated["auroc"], abs=1e-6)
    info = json.loads((clone.path / "data/dataset/dataset.json").read_text())
    assert info["source"] == "simulated"
    page = (clone.path / "reports/index.html").read_text()
    for shown in (f"AUROC {evaluated['auroc']:.3f}", "cell-types", "training-sets", info["hash"]):
        assert shown in page


def test_the_same_seed_gives_the_same_numbers(restored):
    before = restored.outputs()
    restored("rm -r models/train && dvc repro --force -s train evaluate cross_cell")
    after = restored.outputs()
    for name in before:
        if not name.startswith("reports"):
            assert after[name] == before[name], name


def test_summary_names_what_to_open(restored):
    printed = restored("PYTHONPATH=src python -m deepchrome summary")
    assert "E003" in printed
    assert "To look at:\n  reports/index.html" in printed
    assert "reports/data_docs/index.html" in printed
    assert "tensorboard --logdir runs" in printed


def test_only_what_depends_on_a_change_runs_again(restored):
    printed = restored("dvc exp run -S model=linear_sum -S models.linear_sum.epochs=5")
    assert restored.ran(printed) == ["train", "evaluate", "cross_cell", "report"]
    restored("git checkout -q params.yaml && dvc checkout -q")
    printed = restored("dvc exp run -S 'cells=[E003]'")
    assert restored.ran(printed) == [
        "ingest",
        "validate",
        "train",
        "evaluate",
        "cross_cell",
        "training_sets",
        "report",
    ]
    assert Models(restored.path / "models/train").cells == ["E003"]
    assert restored.metrics("cross_cell")["between_mean"] is None


def test_a_critical_failure_stops_everything(restored):
    before = restored.outputs()
    restored.set("validate.max_count", 1)
    for command in ("dvc repro", "dvc repro train"):
        done = restored.run(command)
        assert done.returncode != 0
        assert restored.ran(done.stdout) == ["validate"]
        assert "Traceback" not in done.stdout
        assert restored.outputs() == before


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("cells", ["E003", "E124"], "did you mean 'E123'?"),
        ("data.lables", "rpkm", "data.lables: unknown key; did you mean 'labels'?"),
        ("data.raw", "params.yaml", "no such directory"),
    ],
)
def test_bad_params_through_dvc(restored, key, value, expected):
    before = restored.outputs()
    restored.set(key, value)
    done = restored.run("dvc repro")
    assert done.returncode != 0
    assert expected in done.stdout
    assert "Traceback" not in done.stdout
    assert restored.outputs() == before


def test_bad_raw_data_through_dvc(restored):
    before = restored.outputs()
    write_raw(restored.path / "data/raw/mine")
    path = restored.path / "data/raw/mine/E123/classification/test.csv"
    path.write_text(path.read_text().replace("000003,7,", "000003,0,", 1))
    restored("dvc add -q data/raw/mine")
    before = restored.outputs()
    restored.set("data.raw", "data/raw/mine")
    done = restored.run("dvc repro")
    assert done.returncode != 0
    assert "E123/classification/test.csv: line 7: gene ENSG00000000003, bin: found '0'" in (
        done.stdout
    )
    assert restored.outputs() == before


def test_two_queued_experiments_use_their_own_data_code_and_runs_folder(restored):
    """One is queued on other raw data, then the code is changed and another is queued."""
    write_raw(restored.path / "data/raw/mine", cells=("E004", "E005", "E006"), per_split=70)
    restored("dvc add -q data/raw/mine && git add -A && git commit -q -m 'My data'")
    restored("dvc exp run --queue -n on-mine -S data.raw=data/raw/mine")
    module = restored.path / "src/deepchrome/metrics.py"
    real = "return float(np.mean((np.asarray(score)"
    text = module.read_text()
    assert real in text
    module.write_text(text.replace(real, f"return 0.123\n    {real}"))
    restored("dvc exp run --queue -n on-demo -S model=linear_mean -S models.linear_mean.epochs=5")
    restored("git checkout -q src params.yaml")
    printed = restored("dvc exp run --run-all 2>&1")
    assert "on-mine" in printed
    table = pd.read_csv(
        pd.io.common.StringIO(restored("dvc exp show --csv --no-pager 2>/dev/null"))
    ).set_index("Experiment")
    assert table.loc["on-mine", "n_cells"] == 3
    assert table.loc["on-demo", "n_cells"] == 2
    assert table.loc["on-mine", "accuracy"] != 0.123
    assert table.loc["on-demo", "accuracy"] == 0.123
    assert table.loc["on-mine", "model"] == "linear"
    assert table.loc["on-demo", "model"] == "linear_mean"
    for name in ("on-mine", "on-demo"):
        events = list((restored.path / "runs" / name).glob("events.out.tfevents.*"))
        assert len(events) == 1, name


def test_a_killed_run_goes_on_where_it_was(restored):
    """Under dvc repro and in an experiment that runs in a copy of its own."""
    restored.set("model", "deepchrome")
    restored.set("models.deepchrome.options", {"filters": 4})
    restored.set("models.deepchrome.epochs", 40)
    restored.set("models.deepchrome.patience", 40)
    restored.set("train.checkpoint_seconds", 0)
    restored("dvc repro train && cp -r models/train whole && git commit -q -a -m 'Whole'")
    checkpoints = restored.path / ".cache/train"
    for command, models in (
        ("rm -rf models/train && dvc repro --force -s train", "models/train"),
        ("dvc exp run --temp -n killed -S models.deepchrome.epochs=41", None),
    ):
        restored.kill_when(command, lambda: list(checkpoints.glob("*/*.safetensors")))
        printed = restored(command)
        assert "going on from the checkpoints" in printed
        assert not list(checkpoints.iterdir())
        if models:
            for name in ("weights.safetensors", "model.json"):
                whole = (restored.path / "whole" / name).read_bytes()
                assert (restored.path / models / name).read_bytes() == whole


def test_the_readmes_commands(restored):
    """From 'Experiments' to 'Your own data', as typed, in one shell."""
    readme = (ROOT / "README.md").read_text()
    section = readme.split("\n## Experiments\n")[1].split("\n## Your own data\n")[0]
    commands = re.findall(r"^\$ (.*)$", section, flags=re.MULTILINE)
    assert len(commands) >= 18
    restored("git reset -q --soft HEAD~1")  # as after 'make run'
    (restored.path / ".venv").symlink_to(sys.prefix)
    (restored.path / ".git/info").mkdir(exist_ok=True)
    (restored.path / ".git/info/exclude").write_text(".venv\n")
    script = "set -eo pipefail\n" + "\n".join(
        # '\n$ command' above its output, so that a failure shows where it was
        f"echo {shlex.quote(f'$ {command}')}\n{command}"
        for command in commands
    )
    printed = restored(script)
    table = printed.split("$ make experiments")[1].split("$ dvc plots diff")[0]
    for name in ("linear", "two-cells", "mean", "sum"):
        assert f"[{name}]" in table
    assert max(len(line) for line in table.splitlines()) <= 120
    assert "…" not in table
    colleague = restored.path.parent / "colleague"
    assert (colleague / "models/train/weights.safetensors").is_file()


def test_an_architecture_added_as_the_docs_say(restored):
    """The worked example of docs/studies.md: its file, its line and its commands."""
    page = (ROOT / "docs/studies.md").read_text().split("\n## Adding an architecture\n")[1]
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (line,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    commands = re.findall(r"^\$ (.*)$", page, flags=re.MULTILINE)
    (path,) = re.findall(r"`(src/deepchrome/models/\w+\.py)`", page)
    assert not (restored.path / path).exists()
    (restored.path / path).write_text(code)
    with (restored.path / "params.yaml").open("a") as file:
        file.write(line)
    before = (restored.path / "models/train/model.json").read_text()
    printed = restored("set -e\n" + "\n".join(commands))
    assert "windows: 3,298 parameters, 2 models (2 cell types x 1 seeds)" in printed
    assert restored.ran(printed) == ["train", "evaluate", "cross_cell", "report"]
    assert (restored.path / "models/train/model.json").read_text() != before
    row = r"^ windows +windows +3,298 +[\d.]+ (s|min) +0\.\d{3}"  # model, experiment, ...
    assert re.search(row, printed, flags=re.MULTILINE)
    verdict = r"^((linear and windows|windows and linear)\b|(windows|linear) is )"
    assert re.search(verdict, printed, flags=re.MULTILINE)
    assert (restored.path / "reports/compare/pairs.csv").is_file()
    files = restored("git show --stat $(git for-each-ref --format='%(objectname)' 'refs/exps/**')")
    assert path in files
