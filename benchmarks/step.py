"""Show where the time of a training step goes, operator by operator.

python benchmarks/step.py deepchrome --dataset data/dataset
"""

import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from deepchrome import params
from deepchrome.data.dataset import Dataset
from deepchrome.training.fit import fit
from deepchrome.training.jobs import Job


def main(
    model: Annotated[str, typer.Argument(help="An entry of params.yaml's models.")],
    dataset: Annotated[Path, typer.Option(help="A dataset of ingest.")] = Path("data/dataset"),
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to train.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
) -> None:
    """Train a model on the first cell type, once timed and once under the profiler."""
    torch.set_num_threads(threads)
    data = Dataset(dataset)
    cell = data.load(data.cells[0])
    chosen = params.load().models[model].model_copy(update={"epochs": epochs, "patience": epochs})
    steps = epochs * -(-int((cell.split == "train").sum()) // chosen.batch_size)
    jobs, device = [Job(cell.cell, 0)], torch.device("cpu")
    fit(jobs, {cell.cell: cell}, chosen, device)  # what is set up once
    start = time.perf_counter()
    fit(jobs, {cell.cell: cell}, chosen, device)
    each = (time.perf_counter() - start) / steps * 1e3
    with torch.profiler.profile() as profile:
        fit(jobs, {cell.cell: cell}, chosen, device)
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    table = Table(title=f"{model}: {each:.2f} ms a step, preparation and validation included")
    table.add_column("operator")
    table.add_column("share of the time", justify="right")
    for event in sorted(events, key=lambda event: -event.self_cpu_time_total)[:12]:
        table.add_row(event.key, f"{event.self_cpu_time_total / total:.1%}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
