"""Roadmap's expression table and the labels made from it."""

import gzip
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.errors import DeepChromeError, listing

FILE_NAME = "57epigenomes.RPKM.pc.gz"
"""The name of the table in the Roadmap data portal and beside raw data."""


def read_rpkm(path: Path) -> pd.DataFrame:
    """Read an expression table, plain or gzip: shape=(genes, cell types), indexed by gene_id.

    Every data row of Roadmap's file ends in a tab, which would shift
    pandas' columns by one; here the header says how many columns there are. Values are as printed,
    RPKM, FPKM or TPM.
    Raises DeepChromeError for a damaged file, a repeated gene or a value that is not a number >= 0.
    """
    try:
        with open(path, "rb") as start:
            packed = path.suffix == ".gz" or start.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rt", encoding="utf-8") as file:
            header = file.readline().rstrip("\n").rstrip("\t").split("\t")
            if header[0] != "gene_id" or len(header) < 2:
                raise DeepChromeError(
                    f"{path}: line 1: found {' '.join(header)[:60]!r}, "
                    "expected 'gene_id' and the cell types, separated by tabs"
                )
            table = pd.read_csv(
                file,
                sep="\t",
                header=None,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                names=[*header, "end"],
            )
    except FileNotFoundError:
        raise DeepChromeError(
            f"{path}: no such file; expected Roadmap's expression table ({FILE_NAME})"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DeepChromeError(
            f"{path}: damaged gzip file ({error}); download or copy it again"
        ) from None
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DeepChromeError(f"{path}: not an expression table: {error}") from None
    if not len(table):
        raise DeepChromeError(f"{path}: no genes after the header")
    longer = table["end"].fillna("") != ""
    if longer.any():
        row = int(np.argmax(longer))
        raise DeepChromeError(
            f"{path}: line {row + 2}: gene {table['gene_id'].iloc[row]}: more columns than the "
            f"header has ({len(header)})"
        )
    table = table.drop(columns="end").set_index("gene_id")
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise DeepChromeError(f"{path}: gene {listing(repeated)} stands there more than once")
    if table.columns.has_duplicates:
        raise DeepChromeError(f"{path}: line 1: a cell type stands there more than once")
    values = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DeepChromeError(
            f"{path}: line {row + 2}: gene {table.index[row]}, cell type {table.columns[column]}: "
            f"found {table.iloc[row, column]!r}, expected an RPKM (a number of at least 0)"
        )
    return pd.DataFrame(values, index=table.index.astype(str), columns=table.columns)


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
