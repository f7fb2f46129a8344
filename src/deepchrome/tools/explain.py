"""explain: one gene, its prediction, and what moved it."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.console import console
from deepchrome.data.dataset import Dataset, origin
from deepchrome.data.sources.names import file_name
from deepchrome.errors import DeepChromeError
from deepchrome.figures.gene import gene as draw
from deepchrome.figures.style import SOURCE
from deepchrome.files import File, refuse, replacing
from deepchrome.interpretation.gene import BASELINES, describe, explain_gene, find_gene, moved_by
from deepchrome.training.jobs import choose_device
from deepchrome.training.store import Models, check_same_data


def run(
    gene: str,
    cell: str,
    models: Path,
    output: Path | None,
    device: str,
    dataset: str = "data/dataset",
) -> None:
    """Draw a gene's signal, prediction and attribution, and say what moved the prediction.

    gene: Ensembl id, with or without a version, or symbol. With several seeds, means over them.
    """
    data = Dataset(dataset)
    gene_id = find_gene(data, gene)
    trained = Models(models, choose_device(device))
    trained.index(cell)  # an unknown cell type costs nothing
    check_same_data(trained, data)
    whole = data.load(cell)
    at = np.flatnonzero(whole.gene_id == gene_id)
    if not len(at):
        raise DeepChromeError(f"gene {gene_id} is not in cell type {cell} of {data.path}")
    row = int(at[0])
    known = data.genes.loc[gene_id]
    symbol = gene_id if pd.isna(known["symbol"]) else known["symbol"]
    path = output or Path("reports", "explain", f"{file_name(str(symbol))}_{file_name(cell)}.png")
    if path.suffix.lower() != ".png":
        raise DeepChromeError(f"--output {path}: expected a file that ends in .png")
    written = File(path, "explain", SOURCE.encode())
    refuse(written)
    found = explain_gene(trained, whole, row)
    rpkm = data.labels.query("cell == @cell and gene_id == @gene_id")["rpkm"].iloc[0]
    said = describe(
        gene_id, known, whole.split[row], int(whole.y[row]), float(rpkm), found.probability, cell
    )
    with replacing(written) as (out,):
        strand = "" if pd.isna(known["strand"]) else f", {known['strand']} strand"
        if strand and data.info["orientation"] == "genomic":
            strand += f", transcribed to the {'right' if known['strand'] == '+' else 'left'}"
        draw(
            out,
            f"{said}\n{trained.info['model']}, {origin(data.info)}{strand}",
            found.signal,
            found.typical,
            found.attribution,
            data.info["orientation"],
            data.info["values"],
        )
    moved = moved_by(dict(zip(MARKS, found.attribution.sum(0).tolist(), strict=True)))
    console.print(f"{said}. {moved} (log-odds, against {BASELINES} training genes). {path}")
