"""Time the training of a whole study on a GPU, beside one cell type at a time on the same GPU.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --models deepchrome --precisions float32,tf32,bfloat16 --data FOLDER

Prints 'not measured' where there is no GPU. Times count loading and copying of the data and a
validation after every epoch. Simulating 56 cell types of full size takes a few minutes and 7 GB of
disk; `--data FOLDER` keeps them for the next time.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from deepchrome import MARKS, N_BINS, params
from deepchrome.data.dataset import Dataset
from deepchrome.models import margin
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job, choose_device
from deepchrome.training.network import network
from full_size import GENES, first, machine, study, timed, variant

console = Console(width=140)
MODELS = "deepchrome,fully_connected,attentive,transformer"
PRECISIONS = "float32,tf32,bfloat16"
PEAK = {  # dense FLOP/s by precision, from NVIDIA's data sheets
    "H100 80GB HBM3": {"float32": 67e12, "tf32": 494.7e12, "bfloat16": 989.4e12},
    "H200": {"float32": 67e12, "tf32": 494.7e12, "bfloat16": 989.4e12},
    "A100": {"float32": 19.5e12, "tf32": 156e12, "bfloat16": 312e12},
}


def flops(model: params.ModelParams) -> tuple[int, int]:
    """Return the operations of one gene in training (forward and backward) and in validation."""
    net = network(model).train().to("meta")  # where an LSTM is counted step by step
    x = torch.rand(1, N_BINS, len(MARKS), device="meta")
    with FlopCounterMode(display=False) as counter:
        margin(net(x)).sum().backward()
    trained = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return trained, counter.get_total_flops()


def peak(device: torch.device, precision: str) -> float | None:
    """Return the device's peak FLOP/s, or None where this script does not know it."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((known[precision] for of, known in PEAK.items() if of in name), None)


def measure(
    dataset: Path, cells: list[str], model: params.ModelParams, precision: str, at_once: int | str
) -> tuple[float, int]:
    """Return the seconds of training these cell types, and the device's peak bytes."""
    device = choose_device("auto")
    jobs = [Job(name, 0) for name in cells]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    taken, _ = timed(
        lambda: train(jobs, Dataset(dataset), model, device, at_once, precision=precision)
    )
    return taken, torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def main(
    data: Annotated[
        Path | None, typer.Option(help="Where the data stay.", show_default="a temporary folder")
    ] = None,
    models: Annotated[str, typer.Option(help="Variants of params.yaml.")] = MODELS,
    precisions: Annotated[str, typer.Option(help="float32, tf32, bfloat16.")] = PRECISIONS,
    cells: int = 56,
    genes: int = GENES,
    epochs: int = 100,
    alone_epochs: Annotated[
        int, typer.Option(help="Of one cell type at a time, scaled to --epochs and --cells.")
    ] = 5,
    cpu: Annotated[bool, typer.Option(help="Try the script out without a GPU.")] = False,
) -> None:
    """Train every cell type at once on a GPU; print time, samples per second and share of peak."""
    if not torch.cuda.is_available() and not cpu:
        console.print("not measured: no CUDA GPU here")
        return
    device = choose_device("auto")
    table = Table(
        *("model", "precision", "seconds", "samples/s", "share of peak", "memory, GiB"),
        *("one at a time, scaled", "times as fast"),
        title=f"{cells} cell types x {genes:,} genes, {epochs} epochs with validation",
    )
    with study(data, first(cells), genes) as folder:
        dataset = folder / "data/dataset"
        names = first(cells)
        parts = [Dataset(dataset).load(names[0]).part(split) for split in ("train", "valid")]
        n_train, n_valid = (len(part.y) for part in parts)
        for name in models.split(","):
            for precision in precisions.split(","):
                # kernels are compiled and the libraries loaded in the first steps
                measure(dataset, names[:2], variant(name, 1), precision, "auto")
                taken, memory = measure(dataset, names, variant(name, epochs), precision, "auto")
                one, _ = measure(dataset, names[:1], variant(name, alone_epochs), precision, 1)
                load, _ = measure(dataset, names[:1], variant(name, 1), precision, 1)
                per_epoch = (one - load) / (alone_epochs - 1)
                alone = (load + per_epoch * (epochs - 1)) * cells
                of_train, of_valid = flops(variant(name, 1))
                work = cells * epochs * (n_train * of_train + n_valid * of_valid)
                known = peak(device, precision)
                table.add_row(
                    name,
                    precision,
                    f"{taken:.1f}",
                    f"{cells * epochs * n_train / taken:,.0f}",
                    f"{work / taken / known:.1%}" if known else "unknown",
                    f"{memory / 2**30:.1f}",
                    f"{alone:,.0f} s",
                    f"{alone / taken:.1f}",
                )
    console.print(machine(), soft_wrap=True)
    console.print(table)
    console.print(
        f"paper's protocol: SGD, batch 32, raw counts. One at a time: one cell type for 1 and for "
        f"{alone_epochs} epochs by the same engine, scaled to {epochs} epochs and {cells} cell "
        "types. Samples: training genes. Peak: of dense matrix products.",
        soft_wrap=True,
    )


if __name__ == "__main__":
    typer.run(main)
