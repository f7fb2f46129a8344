"""How the labels of a raw directory compare with expression, cell type by cell type.

The labels of the published archive compare RPKM with its median as text, which is wrong for 49 of
56 cell types (docs/labels.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepchrome.data.label_rules import Audit, audit
from deepchrome.data.sources import expression, published
from deepchrome.errors import DeepChromeError, listing


@dataclass(frozen=True)
class LabelAudit:
    """The audit of a raw directory.

    `skipped`: cell types that the expression table lacks, or with empty files.
    `genes_without_rpkm`: genes that it lacks, which are left out.
    """

    audits: list[Audit]
    skipped: list[str]
    genes_without_rpkm: list[str]

    @property
    def affected(self) -> list[Audit]:
        """The cell types with a label that the numeric rule does not give."""
        return [audit for audit in self.audits if audit.disagree]


def audit_labels(raw: Path, on_cell: Callable[[], None] = lambda: None) -> LabelAudit:
    """Compare the labels of every cell type that has expression with the numeric and text rule.

    on_cell: called after each cell type. Raises DeepChromeError where there is nothing to compare.
    """
    if not raw.is_dir():
        raise DeepChromeError(f"--raw: {raw}: no such directory")
    cells = published.cell_types(raw)
    if not cells:
        raise DeepChromeError(
            f"--raw: {raw}: no cell types here; expected folders such as "
            "E003/classification/ with train.csv, valid.csv and test.csv"
        )
    path = raw / expression.FILE_NAME
    if not path.is_file():
        raise DeepChromeError(
            f"{path}: no such file; the audit compares labels with this table. "
            "Put it there, from the Roadmap data portal ('deepchrome fetch roadmap' does)"
        )
    rpkm = expression.read_rpkm(path)
    empty = published.empty_cells(raw, cells)
    skipped = [cell for cell in cells if cell in empty or cell not in rpkm.columns]
    if len(skipped) == len(cells):
        raise DeepChromeError(
            f"{path}: no column for cell type {listing(cells)}, or their files are empty"
        )
    audits: list[Audit] = []
    unknown: set[str] = set()
    for cell in cells:
        if cell not in skipped:
            gene_id, label = published.read_labels(raw, cell)
            values = rpkm[cell].reindex(gene_id).to_numpy(np.float64)
            known = ~np.isnan(values)
            if not known.any():
                raise DeepChromeError(f"{path}: none of the {len(gene_id):,} genes of {cell}")
            unknown.update(gene_id[~known])
            median = float(rpkm[cell].median())
            audits.append(audit(cell, label[known], values[known], median))
        on_cell()
    return LabelAudit(audits, skipped, sorted(unknown))
