"""Measure time and memory of the data stages as cell types are added.

    python benchmarks/scale.py                       7, 14, 28 and 56 cell types x 19,795 genes
    python benchmarks/scale.py --cells 7 --genes 3000

Each stage runs as `python -m deepchrome <stage>` in a temporary folder, which needs 0.13 GB of
disk a cell type. Memory is the sum over the stage's processes of each one's own peak (VmHWM), an
upper bound because pages that processes share count in each. Linux only: it reads /proc.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from deepchrome.data import reference

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("simulate", "ingest", "validate")


@dataclass(frozen=True)
class Cost:
    """What one stage took: wall and processor seconds, peak bytes."""

    wall: float
    cpu: float
    peak: int


def peaks(root: int) -> dict[int, int]:
    """Return the peak resident memory so far, in bytes, of a process and its descendants."""
    parent, peak = {}, {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            lines = (folder / "status").read_text().splitlines()
        except OSError:  # it has ended
            continue
        fields = dict(line.split(":", 1) for line in lines)
        parent[int(folder.name)] = int(fields["PPid"])
        peak[int(folder.name)] = 1024 * int(fields.get("VmHWM", "0 kB").split()[0])

    def descends(process: int) -> bool:
        while process in parent and process != root:
            process = parent[process]
        return process == root

    return {process: size for process, size in peak.items() if descends(process)}


def run(stage: str, folder: Path) -> Cost:
    """Run a stage in `folder`; raise CalledProcessError where it fails."""
    command = [sys.executable, "-m", "deepchrome", stage, "--params", "params.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    before, start = os.times(), time.perf_counter()
    with (folder / f"{stage}.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(peaks(process.pid).values()))
            time.sleep(0.1)
        wall, after = time.perf_counter() - start, os.times()
        if process.returncode:
            log.seek(0)
            sys.exit(f"{stage} failed:\n{log.read()}")
    cpu = after.children_user + after.children_system
    return Cost(wall, cpu - before.children_user - before.children_system, peak)


def measure(n: int, genes: int, seed: int) -> dict[str, Cost]:
    """Run the stages on the first n of Roadmap's cell types."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = yaml.safe_load((ROOT / "params.yaml").read_text())
        settings["simulate"] |= {
            "cells": list(reference.cell_types().index[:n]),
            "genes": genes,
            "seed": seed,
        }
        (folder / "params.yaml").write_text(yaml.safe_dump(settings))
        return {stage: run(stage, folder) for stage in STAGES}


def exponent(sizes: list[int], values: list[float]) -> float:
    """Return b of the least-squares fit of log(value) = a + b log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main() -> None:
    """Measure every size, smallest first, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", nargs="+", type=int, default=[7, 14, 28, 56])
    parser.add_argument("--genes", type=int, default=19_795)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    costs = {}
    for n in sorted(args.cells):
        costs[n] = measure(n, args.genes, args.seed)
        done = ", ".join(
            f"{stage} {cost.wall:.0f} s, {cost.peak / 2**30:.2f} GiB"
            for stage, cost in costs[n].items()
        )
        print(f"{n} cell types: {done}", flush=True)

    sizes = list(costs)
    table = Table("stage", "measure", *(f"{n} cell types" for n in sizes), "exponent")
    measures = {
        "wall time, s": lambda cost: cost.wall,
        "processor time, s": lambda cost: cost.cpu,
        "peak memory, GiB": lambda cost: cost.peak / 2**30,
    }
    for stage in STAGES:
        for name, of in measures.items():
            values = [of(costs[n][stage]) for n in sizes]
            shown = [f"{v:.2f}" if "GiB" in name else f"{v:.0f}" for v in values]
            grows = f"{exponent(sizes, values):.2f}" if len(sizes) > 1 else ""
            table.add_row(stage, name, *shown, grows)
    console = Console(width=120)
    console.print(f"{args.genes:,} genes, {len(os.sched_getaffinity(0))} processor cores")
    console.print(table)
    console.print("exponent: of a power law fitted to all sizes; 1 is linear")


if __name__ == "__main__":
    main()
