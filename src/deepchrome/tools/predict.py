"""predict: scores for new genes from trained models."""

from pathlib import Path

import pandas as pd

from deepchrome.console import console
from deepchrome.data.sources import published
from deepchrome.data.sources.genes import orient, read_genes
from deepchrome.errors import DeepChromeError
from deepchrome.files import File, refuse, replacing
from deepchrome.training.jobs import choose_device
from deepchrome.training.store import Models


def run(
    source: Path,
    model: str,
    output: Path,
    models: Path,
    genes: str,
    h3k4me3_doubled: bool | None,
    device: str,
) -> None:
    """Write `gene_id,score` for the genes of a file in the published layout.

    model: a cell type; for one that has no model of its own "all", the mean over all cell types, or
    "pooled", one model trained on all of them; the mean over seeds either way. score: the
    probability of high expression.
    h3k4me3_doubled: whether the file holds twice the H3K4me3 counts, as the published archive does;
    None: as the models' training data did.
    """
    written = File(output, "predict", b"gene_id,score\n")
    refuse(written, reads=[source, models])
    trained = Models(models, choose_device(device))
    cells = trained.cells if model == "all" else [model]
    trained.index(cells[0])  # an unknown cell type costs nothing
    if trained.info.get("values", "counts") != "counts":
        raise DeepChromeError(
            f"{models}: these models were trained on {trained.info['values']}, and {source} holds "
            "counts of reads; kinds are not mixed. Put the genes into a raw directory of signal"
        )
    table = published.read(source, label="optional")
    X = table.X
    if trained.info["h3k4me3_halved"] if h3k4me3_doubled is None else h3k4me3_doubled:
        X = published.halve_h3k4me3(X, table.gene_id, source)
    if trained.info["orientation"] == "transcription":
        known = read_genes(genes)
        for note in known.notes:
            console.print(note)
        strands = known.genes["strand"].reindex(table.gene_id)
        X = orient(X, table.gene_id, strands)
    score = trained.predict(X, cells).mean(axis=(0, 1))
    with replacing(written) as (out,):
        pd.DataFrame({"gene_id": table.gene_id, "score": score}).to_csv(
            out, index=False, float_format="%.6f"
        )
    by = f"the models of {len(cells)} cell types" if model == "all" else f"model {model}"
    console.print(f"{output}: {len(score):,} genes scored by {by}")
