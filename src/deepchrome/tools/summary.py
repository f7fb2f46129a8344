"""summary: what a run found, and what to open."""

from pathlib import Path

import pandas as pd

from deepchrome.console import console
from deepchrome.errors import DeepChromeError
from deepchrome.files import read_json
from deepchrome.report.terminal import score_table

SHOWN = (
    ("reports/index.html", "the report: all questions, figures and numbers on one page"),
    ("plots/evaluate/cells.png", "AUROC of every cell type"),
    ("plots/evaluate/curves.png", "ROC and precision-recall curves"),
    ("plots/cross_cell/auroc.png", "the cross-cell matrix"),
    ("plots/cross_cell/controls.png", "chromatin, or the gene? the controls beside it"),
    ("plots/cross_cell/verdict.txt", "is the relation the same in every cell type?"),
    ("plots/training_sets/sets.png", "what is gained by training on several cell types"),
    ("plots/gan/means.png", "what high and low genes look like, generated"),
    ("plots/interpret/code.png", "what the models look for: the code of histones"),
    ("reports/data_docs/index.html", "Data Docs: what was checked of the data"),
)

FIRST = "run 'dvc repro' first"


def run() -> None:
    """Print the per-cell AUROC table, the matrix in one line and what to open next."""
    try:
        cells = pd.read_csv("plots/evaluate/cells.csv", converters={"cell": str})
    except FileNotFoundError as error:
        raise DeepChromeError(f"{error.filename}: no such file; {FIRST}") from None
    except ValueError as error:  # of no UTF-8 too
        raise DeepChromeError(f"plots/evaluate/cells.csv: damaged ({error}); {FIRST}") from None
    evaluated = read_json("metrics/evaluate.json", FIRST)
    crossed = read_json("metrics/cross_cell.json", FIRST)
    model = read_json("models/train/model.json", FIRST)
    info = read_json("data/dataset/dataset.json", FIRST)
    title = f"{model['model']} ({model['parameters']:,} parameters), {info['source']} data"
    console.print(score_table(title, cells))
    low, high = evaluated["auroc_ci95"]
    console.print(
        f"mean AUROC       {evaluated['auroc']:.3f}  (95% interval {low:.3f} to {high:.3f})"
    )
    if crossed["gap"] is not None:
        low, high = crossed["gap_ci95"]
        console.print(
            f"other cell types {crossed['between_mean']:.3f}  "
            f"(gap {crossed['gap']:+.3f}, 95% interval {low:+.3f} to {high:+.3f})"
        )
    console.print("\nTo look at:")
    for path, what in SHOWN:
        if Path(path).exists():
            console.print(f"  {path:<30} {what}")
    console.print(f"  {'tensorboard --logdir runs':<30} training curves, live while it trains")
    console.print(f"  {'dvc plots show':<30} the curves as one HTML page")
    console.print(
        "\nNext: source .venv/bin/activate, then dvc exp run -S model=linear; make experiments"
    )
