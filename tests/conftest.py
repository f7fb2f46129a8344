"""Small raw data sets, a command line in the test's own process, and clones for DVC itself."""

import fcntl
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import settings
from matplotlib.figure import Figure

from deepchrome import seals
from pictures import Pictures

settings.register_profile("busy", deadline=None)  # no test fails because the machine is busy
settings.load_profile("busy")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of a suite run in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side
os.environ["GX_ANALYTICS_ENABLED"] = "False"
os.environ["DVC_NO_ANALYTICS"] = "1"

HANGING = 3600.0
"""Seconds after which something hangs, however busy the machine: no test is to depend on time."""

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "real"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that no worker is left alone with one.

    The second of the pipeline's comes when the first has made the clone that both start from.
    """
    order = ["test_pipeline.py", "test_train.py", "test_pipeline_docs.py"]
    items.sort(key=lambda item: order.index(item.path.name) if item.path.name in order else 9)


needs_real = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"the real sample is not at hand ({REAL.parent.name}/real)"
)


def sealed(table: pd.DataFrame, path: Path) -> None:
    """Write a Parquet file as the product does, with its checksum."""
    table.to_parquet(path, index=False)
    seals.seal(path)


@dataclass
class Gene:
    """One gene as a file has it: counts of shape=(bins, marks), and where it stands."""

    number: str
    split: str
    counts: np.ndarray
    rpkm: float

    @property
    def gene_id(self) -> str:
        return f"ENSG00000{self.number}"


def make_genes(per_split: int, seed: int) -> list[Gene]:
    """Make genes whose H3K4me3 and H3K36me3 rise, and H3K27me3 falls, with their RPKM."""
    rng = np.random.default_rng(seed)
    genes = []
    for i in range(3 * per_split):
        strength = rng.random()
        rate = np.array([3 - 2 * strength, 1 + 3 * strength, 2, 1 + 3 * strength, 1])
        counts = rng.poisson(rate, (100, 5))
        counts[:, 3] *= 2
        split = ("train", "valid", "test")[i % 3]
        genes.append(Gene(f"{i + 1:06d}", split, counts, round(20 * strength**2, 3)))
    return genes


def lines_of(gene: Gene, label: int) -> list[str]:
    return [
        f"{gene.number},{b + 1}," + ",".join(map(str, gene.counts[b])) + f",{label}"
        for b in range(100)
    ]


def write_cell(raw: Path, cell: str, genes: list[Gene]) -> None:
    """Write one cell type in the published layout, labels by the text rule."""
    folder = raw / cell / "classification"
    folder.mkdir(parents=True, exist_ok=True)
    median = f"{np.median([gene.rpkm for gene in genes]):.3f}"
    for split in ("train", "valid", "test"):
        lines = [
            line
            for gene in genes
            if gene.split == split
            for line in lines_of(gene, int(f"{gene.rpkm:.3f}" > median))
        ]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")


def write_rpkm(raw: Path, columns: dict[str, list[Gene]]) -> None:
    """Write the expression table in Roadmap's form, a tab at the end of every data row."""
    cells = list(columns)
    genes = [gene.gene_id for gene in columns[cells[0]]]
    rows = ["\t".join(["gene_id", "E000", *cells])]
    for i, gene in enumerate(genes):
        values = [columns[cell][i].rpkm for cell in cells]
        rows.append("\t".join([gene, "1.000", *(f"{v:.3f}" for v in values)]) + "\t")
    text = "\n".join(rows) + "\n"
    (raw / "57epigenomes.RPKM.pc.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def write_raw(raw: Path, cells: tuple[str, ...] = ("E003", "E123"), per_split: int = 40) -> None:
    columns = {cell: make_genes(per_split, seed) for seed, cell in enumerate(cells)}
    for cell, genes in columns.items():
        write_cell(raw, cell, genes)
    write_rpkm(raw, columns)


def wait_for(condition: Callable[[], object], process: subprocess.Popen) -> None:
    """Wait for a sign of a process, such as a file, that it has come as far as a test needs."""
    deadline = time.monotonic() + HANGING
    while not condition():
        assert process.poll() is None, f"it ended before the sign, with {process.returncode}"
        assert time.monotonic() < deadline, "no sign of it"
        time.sleep(0.02)


STOPS = """
import os, sys

if sys.orig_argv[1:4] == ["-m", "deepchrome", "train"] and os.path.exists({sign!r}):
    import signal
    from deepchrome.training.checkpoints import Checkpoints

    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})  # no other process trains
    save = Checkpoints.save

    def save_and_wait(*arguments):
        save(*arguments)
        signal.pause()

    Checkpoints.save = save_and_wait
"""


def stop_at_checkpoints(folder: Path) -> Path:
    """Make `train`, with `folder` on its path, wait for its end after its first checkpoint.

    Returns a file; without it, training goes on.
    """
    folder.mkdir(exist_ok=True)
    sign = folder.parent / "stop-at-checkpoints"
    sign.touch()
    (folder / "sitecustomize.py").write_text(STOPS.format(sign=str(sign)))
    return sign


def set_param(path: Path, key: str, value: object) -> None:
    """Change one value of a params.yaml: set_param(path, "data.labels", "published")."""
    params = yaml.safe_load(path.read_text())
    section = params
    *outer, last = key.split(".")
    for part in outer:
        section = section[part]
    section[last] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False))


class Project:
    """A project folder of its own, with params.yaml and raw data, and the commands in it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
        self.path, self._capsys, self._monkeypatch = path, capsys, monkeypatch
        self.raw = path / "data/raw/demo"
        (path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        monkeypatch.chdir(path)
        monkeypatch.delenv("DVC_ROOT", raising=False)
        monkeypatch.delenv("DVC_EXP_NAME", raising=False)

    def set(self, key: str, value: object) -> None:
        set_param(self.path / "params.yaml", key, value)

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Run `deepchrome <arguments>`; return the exit status and all that it printed."""
        from deepchrome import cli

        self._monkeypatch.setattr(sys, "argv", ["deepchrome", *map(str, arguments)])
        self._capsys.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else int(bool(exit_.code))
        out, err = self._capsys.readouterr()
        return status, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out + err)

    def ok(self, *arguments: str) -> str:
        status, printed = self(*arguments)
        assert status == 0, printed
        return printed

    def once(self, kept: Path, *stages: str) -> None:
        """Run stages in the first test of a file; give the others a copy of what they made."""
        if kept.exists():
            shutil.copytree(kept, self.path, dirs_exist_ok=True)
            return
        for stage in stages:
            self.ok(stage)
        shutil.copytree(self.path, kept)

    def refused(self, *arguments: str) -> str:
        """Run a command that must end in one message with exit status 1 and change no file."""
        before = self.snapshot()
        status, printed = self(*arguments)
        assert status == 1, printed
        assert "error:" in printed
        assert "Traceback" not in printed
        assert self.snapshot() == before, "a refused command changed files"
        return printed.split("error:", 1)[1]

    def snapshot(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and "runs" not in path.parts and "failed_data_docs" not in path.parts
        }


@pytest.fixture
def project(tmp_path, capsys, monkeypatch) -> Project:
    return Project(tmp_path, capsys, monkeypatch)


@pytest.fixture
def pictures(monkeypatch) -> Pictures:
    """What figures show that are saved in this process."""
    found, save = Pictures(), Figure.savefig

    def savefig(fig: Figure, path: Path, **options: object) -> None:
        found.note(fig, Path(path).name)
        save(fig, path, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


@pytest.fixture
def small(project) -> Project:
    """A project with two small cell types."""
    write_raw(project.raw)
    return project


class Clone:
    """A clone of the project with tiny parameters, and commands as a user types them."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def make(cls, path: Path) -> "Clone":
        """Copy the project's files into a new folder and commit them."""
        clone = cls(path)
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
        clone.set("simulate.cells", ["E003", "E123"])
        clone.set("simulate.genes", 240)
        clone.set("model", "linear")
        clone.set("models.linear.epochs", 5)
        clone.set("gan.steps", 20)
        clone.set("gan.examples", 60)
        clone.set("interpret.genes", 8)
        clone("git init -q -b main && git add -A && git commit -q -m start")
        return clone

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
            timeout=HANGING,
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
        wait_for(condition, process)
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
def kept(tmp_path_factory) -> Path:
    """Where `Project.once` keeps what the tests of a file start from."""
    return tmp_path_factory.mktemp("kept") / "project"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which 'dvc repro' has run and its results are committed."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # by all workers
    first, printed = shared / "first", shared / "first.txt"
    with (shared / "first.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            shutil.rmtree(first, ignore_errors=True)
            first.mkdir()
            made = Clone.make(first)
            ran = made("dvc repro")
            made("git add -A && git commit -q -m 'First run'")
            printed.write_text(ran)
    clone = Clone(tmp_path_factory.mktemp("clone") / "project")
    shutil.copytree(first, clone.path, symlinks=True)
    clone.first = printed.read_text()
    clone.first_commit = clone("git rev-parse HEAD").strip()
    return clone


@pytest.fixture
def restored(clone):
    """The clone as it was after its first run: branch, experiments and workspace."""
    clone(
        f"git reset -q --hard {clone.first_commit} && git clean -qfd && rm -rf .cache runs && "
        # experiments, and the results that a later test could be given instead of running a stage
        "git for-each-ref --format='delete %(refname)' refs/exps | git update-ref --stdin && "
        "rm -rf .dvc/cache/runs && dvc checkout -q --force"
    )
    return clone
