"""Measure how training time and memory grow with cell types and with genes.

    python benchmarks/growth.py
    python benchmarks/growth.py --model linear --epochs 20 --data FOLDER

Each size trains once in a process of its own, loading included, as `python -m deepchrome train`
does it. Memory is the sum over its processes of each one's own peak, as in `scale.py`; Linux only.
Data of full size need 0.13 GB of disk a cell type; `--data FOLDER` keeps them for the next time.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from deepchrome.data.dataset import Dataset
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job
from full_size import GENES, first, machine, study, variant
from scale import exponent, peaks

app = typer.Typer(add_completion=False)
console = Console(width=120)
CELLS = [1, 7, 14, 28, 56]
SIZES = [1_000, 2_500, 5_000, 10_000, GENES]
CELLS_OF_GENES = 7
"""Cell types where the number of genes varies."""


@dataclass(frozen=True)
class Cost:
    """What training took: wall seconds within the process, and peak bytes."""

    wall: float
    peak: int


@app.command(hidden=True)
def one(dataset: Path, cells: int, model: str, epochs: int) -> None:
    """Train the first cell types of a dataset and print the seconds."""
    start = time.perf_counter()
    data = Dataset(dataset)
    jobs = [Job(name, 0) for name in data.cells[:cells]]
    train(jobs, data, variant(model, epochs), torch.device("cpu"))
    print(time.perf_counter() - start)


def measure(folder: Path, cells: int, model: str, epochs: int) -> Cost:
    """Run `one` in a fresh process and watch its memory."""
    command = [sys.executable, __file__, "one", str(folder / "data/dataset"), str(cells), model]
    with subprocess.Popen([*command, str(epochs)], stdout=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(peaks(process.pid).values()))
            time.sleep(0.1)
        assert process.stdout
        printed = process.stdout.read()
    if process.returncode:
        sys.exit(f"training {cells} cell types failed")
    return Cost(float(printed.split()[-1]), peak)


def show(what: str, costs: dict[int, Cost]) -> None:
    """Print one table: a column a size."""
    sizes = list(costs)
    table = Table(what, *(f"{n:,}" for n in sizes), "exponent")
    for name, values, digits in (
        ("seconds", [cost.wall for cost in costs.values()], 1),
        ("peak memory, GiB", [cost.peak / 2**30 for cost in costs.values()], 2),
    ):
        table.add_row(name, *(f"{v:.{digits}f}" for v in values), f"{exponent(sizes, values):.2f}")
    console.print(table)


@app.callback(invoke_without_command=True)
def grow(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Where the data stay.", show_default="a temporary folder")
    ] = None,
    model: Annotated[str, typer.Option(help="A variant of params.yaml.")] = "deepchrome",
    epochs: int = 2,
) -> None:
    """Train 1 to 56 cell types, and 7 cell types of 1,000 to 19,795 genes."""
    if context.invoked_subcommand:
        return
    console.print(f"{model}, {epochs} epochs with validation, loading included; {machine()}")
    with study(data, first(max(CELLS))) as folder:
        costs = {n: measure(folder, n, model, epochs) for n in CELLS}
        show(f"cell types, {GENES:,} genes each", costs)
        costs = {}
        for genes in SIZES:
            with study(data and data / f"genes-{genes}", first(CELLS_OF_GENES), genes) as smaller:
                costs[genes] = measure(smaller, CELLS_OF_GENES, model, epochs)
        show(f"genes, {CELLS_OF_GENES} cell types", costs)
    console.print("exponent: of a power law fitted to all sizes; 1 is linear")


if __name__ == "__main__":
    app()
