"""The rules by which genes are called high: by number, and as the archive did, by text."""

from dataclasses import asdict, dataclass

import numpy as np


def numeric_labels(rpkm: np.ndarray, median: float) -> np.ndarray:
    """Return 1 where the RPKM is above the median, else 0 (int8)."""
    return (np.asarray(rpkm) > median).astype(np.int8)


def text_labels(rpkm: np.ndarray, median: float) -> np.ndarray:
    """Return the labels as the published archive has them: numbers compared **as text** (int8).

    `"13.316" > "3.329"` is false, so an RPKM of 13 is called low. Both sides are printed with
    three decimals. The comparison explains the published labels of 55 of 56 cell types.
    """
    threshold = f"{median:.3f}"
    return np.array([f"{value:.3f}" > threshold for value in rpkm], np.int8)


@dataclass(frozen=True)
class Audit:
    """How the published labels of one cell type compare with its expression.

    `disagree`: published labels that differ from the numeric rule. `explained`: those of them that
    the text comparison gives. `verdict`: "numeric" (none differ), "text" (all but at most 1% of
    those that differ are explained) or "unexplained".
    """

    cell: str
    genes: int
    high: float
    published_high: float
    disagree: int
    explained: int

    @property
    def verdict(self) -> str:
        if not self.disagree:
            return "numeric"
        return "text" if self.explained >= 0.99 * self.disagree else "unexplained"

    def row(self) -> dict[str, object]:
        """Return the audit as a row of a table."""
        return {**asdict(self), "verdict": self.verdict}


def audit(cell: str, published_label: np.ndarray, rpkm: np.ndarray, median: float) -> Audit:
    """Compare published labels, shape=(genes,), with RPKM, shape=(genes,).

    median: over **all** genes of the expression table.
    """
    numeric = numeric_labels(rpkm, median)
    differs = published_label != numeric
    explained = differs & (published_label == text_labels(rpkm, median))
    return Audit(
        cell=cell,
        genes=len(rpkm),
        high=round(float(numeric.mean()), 4),
        published_high=round(float(np.mean(published_label)), 4),
        disagree=int(differs.sum()),
        explained=int(explained.sum()),
    )
