"""simulate-reads: write simulated reads as a raw directory.

Its files are those of `simulation.reads`, and

    simulated.json    how it was made; says that it is simulated
"""

import glob
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.console import progress
from deepchrome.data import reference
from deepchrome.data.sources.names import check_cell, check_distinct
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import Folder, read_json, refuse, replacing, write_json
from deepchrome.simulation import reads
from deepchrome.simulation.reads import Cell
from deepchrome.training.executor import in_processes, processes_for, report

RECORD = "simulated.json"
_SECONDS_A_GENE = 2e-3
"""To simulate, place and pack the reads of one gene of one cell type, on one core."""


def run(output: Path, cells: str, genes: int, seed: int) -> None:
    """Write the reads of some cell types to the folder `output`, replacing what it wrote before.

    cells: "E003,mine=E116". genes: how many at most (`reads.choose_apart`).
    Raises DeepChromeError for an unknown or repeated cell type.
    """
    chosen = parse_cells(cells)
    written = Folder(output, "simulate-reads", earlier_files(output))
    refuse(written)
    table = reads.choose_apart(genes, seed)
    rpkm = reads.expression(table, chosen, seed)
    with replacing(written) as (folder,):
        (folder / "reads").mkdir(parents=True)
        write_json(
            folder / RECORD,
            {"cells": {one.name: one.eid for one in chosen}, "genes": len(table), "seed": seed},
        )
        reads.write_tables(folder, chosen, table, rpkm)
        items = [(folder / "reads", one, table, rpkm[one.name].to_numpy(), seed) for one in chosen]
        workers = processes_for(_SECONDS_A_GENE * len(items) * len(table), len(items))
        with progress("simulate-reads", "cell types", len(items)) as advance:
            in_processes(_write_reads, items, workers, advance)


def earlier_files(folder: Path) -> list[str]:
    """Name what an earlier run wrote, by its record: none without one."""
    if not (folder / RECORD).is_file():
        return []
    record = read_json(folder / RECORD, "remove the folder if it holds nothing of yours")
    cells = record.get("cells")
    if not isinstance(cells, dict):
        return []
    return [
        RECORD,
        *reads.TABLES,
        *(f"reads/{reads.file_name(glob.escape(cell), mark)}" for cell in cells for mark in MARKS),
    ]


def _write_reads(item: tuple[Path, Cell, pd.DataFrame, np.ndarray, int]) -> None:
    reads.write_reads(*item)
    report()


def parse_cells(text: str) -> list[Cell]:
    """Return the cell types of "E003,mine=E116"."""
    found = []
    known = reference.cell_types().index
    for part in text.split(","):
        name, _, eid = part.strip().partition("=")
        one = Cell(name, eid or name)
        if one.eid not in known:
            raise DeepChromeError(
                f"--cells: unknown cell type {one.eid!r}{nearest(one.eid, known)}; expected EIDs "
                "of Roadmap's 56 epigenomes, or NAME=EID"
            )
        check_cell(one.name, "--cells: ")
        found.append(one)
    names = [one.name for one in found]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DeepChromeError(f"--cells: {listing(sorted(repeated))} named more than once")
    check_distinct(names, "--cells: ")
    return found
