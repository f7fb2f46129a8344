"""Tables for the terminal."""

import pandas as pd
from rich.table import Table

from deepchrome.data.reference import cell_types


def score_table(title: str, cells: pd.DataFrame) -> Table:
    """Return scores per cell type: AUROC, AUPRC and accuracy, mean over seeds.

    cells: rows as in `plots/evaluate/cells.csv`. With several seeds, AUROC shows its spread
    (standard deviation).
    """
    table = Table(title=title, title_justify="left")
    many = cells["seed"].nunique() > 1
    for name in ("cell type", "name", "test genes", "AUROC", "AUPRC", "accuracy"):
        table.add_column(name, justify="left" if name in ("cell type", "name") else "right")
    known = cell_types()
    for cell, rows in cells.groupby("cell"):
        mean = rows[["auroc", "auprc", "accuracy"]].mean()
        spread = f" ± {rows['auroc'].std():.3f}" if many else ""
        table.add_row(
            str(cell),
            str(known["name"].get(cell, ""))[:36],
            f"{rows['n'].iloc[0]:,}",
            f"{mean['auroc']:.3f}{spread}",
            f"{mean['auprc']:.3f}",
            f"{mean['accuracy']:.3f}",
        )
    return table
