"""Labels: whether a gene is high in a cell type, and how published labels fare beside that."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.data.label_rules import Audit, audit, numeric_labels
from deepchrome.data.sources import expression
from deepchrome.data.sources.published import Table
from deepchrome.errors import DeepChromeError, listing


def make_labels(
    cell: str, table: Table, rpkm: pd.Series | None, rule: str, raw: Path
) -> tuple[pd.DataFrame, Audit | None]:
    """Return the rows of labels.parquet for one cell type, and the audit of its published labels.

    rpkm: the cell type's column over the genes whose median makes the labels, or None where there
    is none. rule: "rpkm", high above that median, or "published", the labels of the files. raw:
    names the directory in messages. No audit is made of files without labels.
    """
    rows = pd.DataFrame(
        {
            "cell": cell,
            "gene_id": table.gene_id,
            "rpkm": np.nan,
            "label": table.label,
            "published_label": table.label,
        }
    )
    if rpkm is None:
        return rows, None
    values = rpkm.reindex(table.gene_id).to_numpy(np.float64)
    unknown = np.isnan(values)
    if rule == "rpkm" and unknown.any():
        raise DeepChromeError(
            f"{raw / expression.FILE_NAME}: gene {listing(table.gene_id[unknown])} of {cell} "
            "is missing from the table; data.labels: rpkm needs its RPKM"
        )
    median = float(rpkm.median())
    rows["rpkm"] = values
    if rule == "rpkm":
        rows["label"] = numeric_labels(values, median)
    if table.label is None:
        return rows, None
    audited = audit(cell, table.label[~unknown], values[~unknown], median)
    return rows, audited
