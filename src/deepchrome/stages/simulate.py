"""simulate: write a simulated data set in the layout of the published archive.

Its files are those of `simulation.raw`, and

    simulated.json    how it was made; says that it is simulated
"""

import glob
from pathlib import Path

import numpy as np

from deepchrome import SPLITS
from deepchrome.console import progress
from deepchrome.data import reference
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import Folder, read_json, refuse, replacing, write_json
from deepchrome.params import SimulateParams
from deepchrome.simulation import raw, simulator
from deepchrome.training.executor import in_processes, processes_for, report

RECORD = "simulated.json"
_SECONDS_A_GENE = 2e-4
"""To simulate and write one gene of one cell type, on one core."""


def run(params: SimulateParams, output: str | Path = "data/raw/demo") -> None:
    """Simulate `params.cells` and write them to the folder `output`, replacing an earlier run's.

    Raises DeepChromeError for an unknown or repeated cell type, and where the folder holds what
    `simulate` did not put there.
    """
    _check_cells(params.cells)
    written = Folder(output, "simulate", earlier_files(Path(output)))
    refuse(written)
    genes = reference.genes()["gene_id"].drop_duplicates().to_numpy()
    columns = [simulator.REFERENCE_RNA, *params.cells]
    rpkm = simulator.expression(genes, columns, params.seed, simulator.load_statistics())
    chosen = raw.choose_genes(params.genes, params.seed)
    with replacing(written) as (folder,):
        folder.mkdir()
        # marks the folder, so that published results are never shown beside simulated data
        write_json(folder / RECORD, params.model_dump())
        raw.write_expression(folder / reference.EXPRESSION_FILE, genes, columns, rpkm)
        items = [
            (folder, cell, values, chosen, params)
            for cell, values in zip(params.cells, rpkm.T[1:], strict=True)
        ]
        workers = processes_for(_SECONDS_A_GENE * len(items) * len(chosen), len(items))
        with progress("simulate", "cell types", len(items)) as advance:
            in_processes(_write_cell, items, workers, lambda cell: advance(note=cell))


def earlier_files(folder: Path) -> list[str]:
    """Name what an earlier run wrote, by its record: none without one."""
    if not (folder / RECORD).is_file():
        return []
    record = read_json(folder / RECORD, "remove the folder if it holds nothing of yours")
    cells = record.get("cells")
    if not isinstance(cells, list):
        return []
    tables = [
        f"{glob.escape(str(cell))}/classification/{split}.csv" for cell in cells for split in SPLITS
    ]
    return [RECORD, reference.EXPRESSION_FILE, *tables]


def _write_cell(item: tuple[Path, str, np.ndarray, np.ndarray, SimulateParams]) -> None:
    raw.write_cell(*item)
    report(item[1])


def _check_cells(cells: list[str]) -> None:
    known = reference.cell_types().index
    for cell in cells:
        if cell not in known:
            raise DeepChromeError(
                f"simulate.cells: unknown cell type {cell!r}{nearest(cell, known)} "
                f"(allowed: {listing(known)})"
            )
