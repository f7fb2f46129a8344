"""Time the pipeline beside the code of DeepChrome 2.0's authors, on the same machine and data.

    git clone https://github.com/ssss1029/gene_expression_294 ../authors
    python benchmarks/peers.py all --authors ../authors
    python benchmarks/peers.py training --authors ../authors --model deepchrome_strided

Their scripts run unchanged, as `git archive` gives them, through `run_theirs.py`, which says what
it adapts. Both sides get the same simulated files of full size (3 x 6,600 genes) and take turns; a
table gives the median of the rounds and their range. Needs 0.13 GB of disk a cell type:
`--data FOLDER` keeps the data for the next time.
"""

import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.func import functional_call

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType, Dataset
from deepchrome.data.sources import published
from deepchrome.evaluation.metrics import auroc
from deepchrome.params import ModelParams
from deepchrome.training import store as trained
from deepchrome.training.executor import prepare_processes
from deepchrome.training.fit import SCORING_BATCH_CPU, fit
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job, TrainedNetwork
from deepchrome.training.network import network
from full_size import first, machine, spread, study, timed, variant

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__.split("\n")[0])
console = Console(width=120)
CPU = torch.device("cpu")
RUNNER = Path(__file__).with_name("run_theirs.py")

MASTER = "759ba9e579f92aa14b9507faa628a92da3f6cb74"
LINEAR = "75202c44e87a5cfacb12aed9bf2e40b4c7844f7b"  # the branch linear_model
NETWORKS = {  # the commit whose models/DeepChrome.py is our variant; master holds the last
    "deepchrome": "51532a2",
    "deepchrome_avg": "be005d4",
    "deepchrome_strided": MASTER,
}

Authors = Annotated[Path, typer.Option(help="A git clone of the authors' repository.")]
Data = Annotated[
    Path | None, typer.Option(help="Where the data stay.", show_default="a temporary folder")
]
Rounds = Annotated[int, typer.Option(min=1, help="How often each side is timed.")]
Cell = Annotated[str, typer.Option("--cell", help="A cell type.")]
CELL = "E123"  # where the archive's labels are right, so that AUROCs settle within few epochs


@dataclass(frozen=True)
class Line:
    """A line that a script printed, and when: seconds since it started."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Theirs:
    """The authors' scripts in a folder of their own, with the raw data where they look for it."""

    folder: Path

    def run(self, script: str, *arguments: object, until: str = "") -> list[Line]:
        """Run a script to its end, or to the first line that starts with `until`."""
        command = [sys.executable, "-u", str(RUNNER), script, *map(str, arguments)]
        lines: list[Line] = []
        start = time.perf_counter()
        with subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as process:
            assert process.stdout
            for text in process.stdout:
                lines.append(Line(time.perf_counter() - start, text.rstrip()))
                if until and text.startswith(until):
                    os.killpg(process.pid, signal.SIGKILL)  # with its loader workers
                    return lines
        if process.returncode or until:
            sys.exit(f"{script} failed:\n" + "\n".join(line.text for line in lines[-20:]))
        return lines


@contextlib.contextmanager
def checked_out(authors: Path, raw: Path, commit: str, network: str = "") -> Iterator[Theirs]:
    """Yield the scripts of a commit, with models/DeepChrome.py of the commit `network`."""
    with tempfile.TemporaryDirectory() as name:
        for of, what in ((commit, "*.py"), (network, "models/DeepChrome.py")):
            if of:
                found = subprocess.run(
                    ["git", "-C", str(authors), "archive", of, "--", what], capture_output=True
                )
                if found.returncode:
                    sys.exit(f"{authors}: no commit {of} here: {found.stderr.decode().strip()}")
                with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
                    archive.extractall(name, filter="data")
        Path(name, "dataset").symlink_to(raw)
        yield Theirs(Path(name))


def when(lines: list[Line], prefix: str) -> list[float]:
    """Return the times of the lines that start with `prefix`."""
    return [line.seconds for line in lines if line.text.startswith(prefix)]


def show(
    title: str, rows: Sequence[tuple[str, ...]], columns: tuple[str, ...], *notes: str
) -> None:
    """Print a table and what to know about it."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in (*notes, machine()):
        console.print(note, soft_wrap=True, highlight=False)
    console.print()


def versus(theirs: list[float], ours: list[float]) -> str:
    """Return their time divided by ours, round by round."""
    return spread([a / b for a, b in zip(theirs, ours, strict=True)], 1)


@app.command()
def loading(authors: Authors, data: Data = None, rounds: Rounds = 3, cell: Cell = CELL) -> None:
    """Load one cell type: their loader, our reader of the same CSV files, and our dataset."""
    with (
        study(data, [cell]) as folder,
        checked_out(authors, folder / "data/raw/demo", MASTER) as theirs,
    ):
        raw, dataset = folder / "data/raw/demo", folder / "data/dataset"
        paths = [raw / cell / "classification" / f"{s}.csv" for s in ("train", "valid", "test")]
        sys.path.insert(0, str(theirs.folder))
        from dataloading.DeepChrome import DeepChromeDataset

        samples: list[dict] = []

        def their_loader() -> None:
            samples.clear()
            for path in paths:
                samples.extend(DeepChromeDataset([str(path)]).samples)

        opened = Dataset(dataset)
        opened.load(cell)
        work: dict[str, Callable[[], object]] = {
            "authors' DeepChromeDataset": their_loader,
            "ours, the CSV files": lambda: published.read_splits(raw, cell),
            "ours, the dataset, first cell type": lambda: Dataset(dataset).load(cell),
            "ours, the dataset, each further one": lambda: opened.load(cell),
        }
        for of in list(work)[1:]:
            work[of]()  # page cache and lazy imports
        times: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(rounds):
            for name, one in work.items():
                times[name].append(timed(one)[0])
        _check_same_genes(samples, published.read_splits(raw, cell)[0], opened.load(cell))
        first = next(iter(times))
        rows = [
            (name, spread([1000 * t for t in taken], 0), versus(times[first], taken))
            for name, taken in times.items()
        ]
        show(
            f"Loading {cell}, {len(samples):,} genes",
            rows,
            ("", "milliseconds", "authors / this"),
            "authors' default settings: three files, a pool of 24 processes each. Same genes, "
            "counts and labels: checked.",
            f"the dataset holds {len(opened.cells)} cell types; the first reads the genes' splits.",
        )


def _check_same_genes(samples: list[dict], table: published.Table, cell: CellType) -> None:
    """Stop where the loaders disagree."""
    theirs = {published.GENE_PREFIX + one["gene_id"]: one for one in samples}
    assert list(table.gene_id) == sorted(theirs) == list(cell.gene_id)
    X = np.stack([theirs[gene]["X"] for gene in table.gene_id])
    y = np.array([theirs[gene]["y"][0] for gene in table.gene_id])
    np.testing.assert_array_equal(X, table.X)
    np.testing.assert_array_equal(y, table.label)
    halved = published.halve_h3k4me3(table.X, table.gene_id, Path("."))
    np.testing.assert_array_equal(halved, cell.X)


@app.command()
def training(
    authors: Authors,
    data: Data = None,
    rounds: Rounds = 3,
    epochs: int = 10,
    model: Annotated[str, typer.Option(help=", ".join(NETWORKS))] = "deepchrome",
    name: Cell = CELL,
) -> None:
    """Train one cell type with validation each epoch: theirs, ours, the matrix products alone."""
    if model not in NETWORKS:
        raise typer.BadParameter(f"found {model!r}, expected one of {', '.join(NETWORKS)}")
    params = variant(model, epochs, standardize=False)  # they train on raw counts
    with (
        study(data, [name]) as folder,
        checked_out(authors, folder / "data/raw/demo", MASTER, NETWORKS[model]) as theirs,
    ):
        table, split = published.read_splits(folder / "data/raw/demo", name)
        assert table.label is not None
        cell = CellType(name, table.gene_id, table.X, table.label, split)  # what they read
        times: dict[str, list[float]] = {}
        aurocs: dict[str, list[float]] = {"ours": [], "authors": []}
        fit([Job(name, 0)], {name: cell}, variant(model, 1), CPU)  # imports and warming up
        for seed in range(rounds):
            taken, (one,) = timed(partial(fit, [Job(name, seed)], {name: cell}, params, CPU))
            times.setdefault("ours", []).append(taken)
            aurocs["ours"].append(_auroc_as_theirs(one, params, cell.part("valid")))
            for setting, options in {
                "authors, default (5 loader workers)": (),
                "authors, no loader workers": ("--dloader-workers", 0),
            }.items():
                lines = theirs.run(
                    "main.py",
                    *("--no-gpu", "--epochs", epochs, "--save", f"saved/{len(aurocs['authors'])}"),
                    *(f"--globstr-train=dataset/{name}/classification/train.csv",),
                    *(f"--globstr-val=dataset/{name}/classification/valid.csv",),
                    *(f"--globstr-test=dataset/{name}/classification/test.csv",),
                    *options,
                    until="Doing final testing",
                )
                start, end = when(lines, "Beginning training") + when(lines, "Doing final testing")
                times.setdefault(setting, []).append(end - start)
                log = theirs.folder / f"saved/{len(aurocs['authors'])}/training_log.csv"
                aurocs["authors"].append(pd.read_csv(log)["val_auroc"].max())
            sizes = [int((split == part).sum()) for part in ("train", "valid")]
            products = matrix_products(model, params.batch_size, *sizes)
            alone = sum(timed(products)[0] for _ in range(epochs))
            times.setdefault("the matrix products alone", []).append(alone)
        rows = [(of, spread(taken), versus(taken, times["ours"])) for of, taken in times.items()]
        show(
            f"{model}: {name}, {sizes[0]:,} training genes, {epochs} epochs with validation",
            rows,
            ("", "seconds", "this / ours"),
            f"ours / matrix products {versus(times['ours'], times['the matrix products alone'])}",
            _agreement(aurocs["ours"], aurocs["authors"]),
            "SGD, batch 32, raw counts, float32, on the same threads. Theirs: from 'Beginning "
            "training' to 'Doing final testing', main.py of master with models/DeepChrome.py of "
            f"commit {NETWORKS[model][:7]}.",
        )


@torch.no_grad()
def _auroc_as_theirs(one: TrainedNetwork, params: ModelParams, valid: CellType) -> float:
    """Return the AUROC of our network by their score, the logit of high without that of low."""
    weights = {name: torch.from_numpy(weight) for name, weight in one.weights.items()}
    x = torch.from_numpy(valid.X).float()
    logits = functional_call(network(params).eval(), weights, (x,))
    return auroc(valid.y, logits[:, 1].numpy())


def _agreement(ours: list[float], theirs: list[float]) -> str:
    """Compare two samples of AUROCs: the difference of means and its standard error."""
    difference = np.mean(ours) - np.mean(theirs)
    text = (
        "validation AUROC at the best epoch, by the logit of high: "
        f"ours {np.mean(ours):.4f} ({len(ours)} seeds), "
        f"authors {np.mean(theirs):.4f} ({len(theirs)} runs), difference {difference:+.4f}"
    )
    if min(len(ours), len(theirs)) < 2:
        return text
    error = np.hypot(*(np.std(x, ddof=1) / np.sqrt(len(x)) for x in (ours, theirs)))
    verdict = "within noise" if abs(difference) < 3 * error else "MORE THAN NOISE"
    return f"{text}, standard error {error:.4f}: {verdict}"


def matrix_products(model: str, batch: int, n_train: int, n_valid: int) -> Callable[[], None]:
    """Return a function that does the matrix products of one epoch and its validation.

    A convolution is a product over its windows. Training: forward, the weights' gradient and, but
    for the first layer, the input's. Validation: forward, as many genes at a time as the engine.
    """
    stride, filters, width, pool = (2 if model == "deepchrome_strided" else 1), 50, 10, 5
    windows = (N_BINS - width) // stride + 1
    dense = filters * (windows // pool)
    layers = [(windows, width * len(MARKS), filters), (1, dense, 625), (1, 625, 125), (1, 125, 2)]
    weights = [torch.randn(outputs, inputs) for _, inputs, outputs in layers]
    gradients = [torch.empty_like(weight) for weight in weights]

    def buffers(genes: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        made = []
        for rows, inputs, outputs in layers:
            x = torch.randn(genes * rows, inputs)
            made.append((x, torch.randn(genes * rows, outputs), torch.empty_like(x)))
        return made

    def sizes(genes: int, at_once: int) -> list[int]:
        return [min(at_once, genes - start) for start in range(0, genes, at_once)]

    steps, parts = sizes(n_train, batch), sizes(n_valid, SCORING_BATCH_CPU)
    made = {genes: buffers(genes) for genes in {*steps, *parts}}

    def products() -> None:
        for genes in steps:
            for (x, y, _), weight in zip(made[genes], weights, strict=True):
                torch.mm(x, weight.T, out=y)
            for i in reversed(range(len(layers))):
                x, y, x_gradient = made[genes][i]
                torch.mm(y.T, x, out=gradients[i])
                if i:
                    torch.mm(y, weights[i], out=x_gradient)
        for genes in parts:
            for (x, y, _), weight in zip(made[genes], weights, strict=True):
                torch.mm(x, weight.T, out=y)

    return products


@app.command()
def linear(
    authors: Authors,
    data: Data = None,
    rounds: Rounds = 3,
    cells: int = 56,
    epochs: int = 100,
    their_epochs: Annotated[int, typer.Option(help="Of theirs, scaled to --epochs.")] = 5,
) -> None:
    """Train `linear` on every cell type: ours whole, theirs for two cell types, scaled."""
    params = variant("linear", epochs)
    # as the command does, while it imports torch itself: imports are timed on neither side
    prepare_processes("deepchrome.training.groups")
    with (
        study(data, first(cells)) as folder,
        checked_out(authors, folder / "data/raw/demo", LINEAR) as it,
    ):
        dataset = folder / "data/dataset"
        names = first(cells)
        jobs = [Job(name, 0) for name in names]
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            each = []
            for name in names[:2]:
                lines = it.run(
                    "main_better_testing.py",
                    *("--methods", "max", "--epochs", their_epochs, "--patience", their_epochs + 1),
                    *(f"--globstr-train=dataset/{name}/classification/train.csv",),
                    *("--globstr-val-cell-ids", name),
                    until="Doing final testing",
                )
                # '1' is printed after an epoch's training, '4' after its validation and log
                ends = when(lines, "4")
                each.append((ends[-1] - when(lines, "Test set")[-1]) / their_epochs)
            theirs.append(sum(each) / len(each) * epochs * len(names))
            ours.append(timed(partial(train, jobs, Dataset(dataset), params, CPU))[0])
        show(
            f"linear: {len(names)} cell types, {epochs} epochs with validation",
            [
                ("authors' loop, scaled", spread(theirs, 0), versus(theirs, ours)),
                ("ours, loading included", spread(ours), "1"),
            ],
            ("", "seconds", "this / ours"),
            f"theirs: {their_epochs} epochs of {' and '.join(names[:2])}, without loading, times "
            f"{epochs / their_epochs:.0f} and {len(names) / 2:.0f}; main_better_testing.py of the "
            "branch linear_model with its default settings (no loader workers).",
        )


@app.command()
def matrix(
    authors: Authors,
    data: Data = None,
    rounds: Rounds = 3,
    cells: int = 56,
    test_cells: Annotated[int, typer.Option(help="Columns of ours that are timed.")] = 2,
) -> None:
    """Score every cell type's test genes by every model: some columns of each, scaled."""
    with (
        study(data, first(cells)) as folder,
        checked_out(authors, folder / "data/raw/demo", MASTER, NETWORKS["deepchrome"]) as it,
    ):
        dataset = Dataset(folder / "data/dataset")
        names = first(cells)
        models = trained.Models(_trained(folder, dataset, names))
        tests = [dataset.load(name).part("test") for name in names[:test_cells]]
        ours: list[float] = []
        theirs: list[float] = []
        for turn in range(rounds):

            def columns() -> None:
                for test in tests:
                    for score in models.predict(test.X, names):
                        auroc(test.y, score[0])

            ours.append(timed(columns)[0] / len(tests) * len(names))
            # they test one trained network on each cell type that it is validated on
            lines = it.run(
                "main_better_testing.py",
                *("--no-gpu", "--epochs", 1, "--save", f"saved/{turn}"),
                *(f"--globstr-train=dataset/{names[0]}/classification/train.csv",),
                *(x for name in names[:2] for x in ("--globstr-val-cell-ids", name)),
            )
            starts, end = when(lines, "Doing final testing"), when(lines, "{'E")
            theirs.append((end[-1] - starts[0]) / len(starts) * len(names) ** 2)
        own = sum(tensor.nbytes for tensor in models.tensors.values())
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        show(
            f"deepchrome: the {len(names)} x {len(names)} matrix",
            [
                ("authors' evaluation, scaled", spread(theirs, 0), versus(theirs, ours)),
                ("ours, scaled", spread(ours, 0), "1"),
            ],
            ("", "seconds", "this / ours"),
            f"ours: {test_cells} test cell types by {len(names)} models, AUROC included, times "
            f"{len(names) / test_cells:.0f}. Theirs: one model on {min(2, len(names))} test cell "
            "types by main_better_testing.py with its default settings (5 loader workers), loading "
            f"not counted, scaled to {len(names) ** 2:,} pairs.",
            f"peak memory of ours {peak / 2**30:.2f} GiB, of which weights {own / 2**30:.2f} GiB",
        )


def _trained(folder: Path, data: Dataset, names: list[str]) -> Path:
    """Return a folder of models of these cell types, trained for an epoch if there is none."""
    path = folder / f"models/matrix-{len(names)}"
    if not path.is_dir():
        params = variant("deepchrome", 1)
        fitted = train([Job(name, 0) for name in names], data, params, CPU)
        trained.save(path, "deepchrome", params, fitted, data.info)
    return path


@app.command("all")
def everything(authors: Authors, data: Data = None, rounds: Rounds = 3) -> None:
    """Run all four on one simulation."""
    with study(data, first(56)) as folder:
        loading(authors, folder, rounds)
        for model in NETWORKS:
            training(authors, folder, rounds, model=model)
        linear(authors, folder, rounds)
        matrix(authors, folder, rounds)


if __name__ == "__main__":
    app()
