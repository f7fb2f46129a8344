"""What is measured of a dataset's files to judge it: of genes, of a cell type, between cell types.

NumPy and pandas only. `expectations` states which of it is expected.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.stats import mannwhitneyu

from deepchrome import MARKS, seals
from deepchrome.data.copies import fingerprints
from deepchrome.data.dataset import REMEDY
from deepchrome.data.label_rules import numeric_labels, text_labels

ENOUGH_GENES = 200
"""Statistical checks of fewer genes would fail by chance; they are left out."""

A_COPY = 0.1
"""Share of genes; where more are the same in two cell types, one is (partly) a copy."""

_K4ME3, _K36ME3 = MARKS.index("H3K4me3"), MARKS.index("H3K36me3")

# --- the genes of one cell type -------------------------------------------------------------------


@dataclass(frozen=True)
class Signals:
    """One cell type's signals as they stand, a gene being a run of rows with the same gene_id.

    `X`: shape=(rows, marks). `genes`: a row per run: gene_id, rows, bins_in_order (rows whose bin
    is their place in the run), missing_counts, and the lowest and highest count per mark.
    """

    X: np.ndarray
    genes: pd.DataFrame


def read_signals(path: Path) -> Signals:
    """Read a signals file whose columns have the right names and types."""
    table = seals.read_parquet(path, REMEDY)
    column = table["gene_id"].combine_chunks()
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy()
    starts = np.flatnonzero(np.diff(codes, prepend=-2))
    rows = np.diff(starts, append=len(codes))
    names = np.array([*column.dictionary.to_pylist(), None], object)  # [-1]: no gene
    genes = pd.DataFrame({"gene_id": names[codes[starts]], "rows": rows})
    place = np.arange(len(codes)) - np.repeat(starts, rows) + 1
    bins = table["bin"].to_numpy()
    counts = [table[mark].to_numpy() for mark in MARKS]  # floats where any is null
    missing = np.sum([np.isnan(values) for values in counts], axis=0)
    if len(codes):
        genes["bins_in_order"] = np.add.reduceat((bins == place).astype(int), starts)
        genes["missing_counts"] = np.add.reduceat(missing, starts)
    for mark, values in zip(MARKS, counts, strict=True):
        if len(codes):
            genes[f"{mark} lowest"] = np.fmin.reduceat(values, starts)
            genes[f"{mark} highest"] = np.fmax.reduceat(values, starts)
    return Signals(np.stack(counts, axis=-1), genes)


def gene_rows(
    signals: pd.DataFrame, labels: pd.DataFrame, genes: pd.DataFrame, rpkm_median: float | None
) -> pd.DataFrame:
    """Return a row per gene of a cell type: of its signals, its label or both.

    labels: the cell type's rows of labels.parquet. genes: genes.parquet, indexed by gene_id.
    """
    rows = signals.merge(labels.drop(columns="cell"), on="gene_id", how="outer")
    rows["rows"] = rows["rows"].fillna(0)
    rows["split"] = genes["split"].reindex(rows["gene_id"]).to_numpy()
    for column in ("label", "rpkm", "published_label"):
        rows[column] = rows[column].astype("float64")
    rows["label_by_rpkm"] = rows["label_by_text"] = np.nan
    if rpkm_median is not None:
        known = rows["rpkm"].notna()
        rpkm = rows.loc[known, "rpkm"].to_numpy()
        rows.loc[known, "label_by_rpkm"] = numeric_labels(rpkm, rpkm_median).astype(float)
        rows.loc[known, "label_by_text"] = text_labels(rpkm, rpkm_median).astype(float)
    return rows


# --- the signals of one cell type -----------------------------------------------------------------


@dataclass(frozen=True)
class CellMeasures:
    """What is kept of a cell type to compare it with the others; arrays in the order of `gene_id`.

    `log_sums`: shape=(genes, marks), log(1 + reads). `fingerprint`: of a gene's signals, 0 where
    others may agree by chance. `score`: how high the signals say the gene is. `profile`:
    shape=(bins, marks), mean counts. `distinct_counts` and `common_factor`: per mark.
    """

    cell: str
    gene_id: np.ndarray
    label: np.ndarray
    log_sums: np.ndarray
    fingerprint: np.ndarray
    score: np.ndarray
    profile: np.ndarray
    distinct_counts: list[int]
    common_factor: list[int]


def measure(cell: str, gene_id: np.ndarray, X: np.ndarray, label: np.ndarray) -> CellMeasures:
    """Measure one cell type. X: shape=(genes, bins, marks), counts or signal. label: (genes,)."""
    log_sums = np.log1p(X.sum(axis=1, dtype=np.float64))
    whole = np.issubdtype(X.dtype, np.integer)
    distinct = [
        np.flatnonzero(np.bincount(X[:, :, m].ravel())) if whole else np.unique(X[:, :, m])
        for m in range(len(MARKS))
    ]
    return CellMeasures(
        cell=cell,
        gene_id=gene_id,
        label=label,
        log_sums=log_sums,
        fingerprint=fingerprints(X),
        score=_cross_fitted(log_sums, label),
        profile=X.mean(axis=0),
        distinct_counts=[len(counts) for counts in distinct],
        common_factor=[int(np.gcd.reduce(counts)) if whole else 1 for counts in distinct],
    )


def _cross_fitted(features: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return least-squares predictions of the label, each half of the genes from the other half."""
    design = np.column_stack([np.ones(len(features)), features])
    half = np.arange(len(features)) % 2
    score = np.empty(len(features))
    for k in (0, 1):
        fit, *_ = np.linalg.lstsq(design[half != k], label[half != k].astype(float), rcond=None)
        score[half == k] = design[half == k] @ fit
    return score


def auroc(label: np.ndarray, score: np.ndarray) -> float:
    """Return how well a score tells label 1 from 0; NaN where either is missing."""
    high, low = score[label == 1], score[label == 0]
    if not len(high) or not len(low):
        return float("nan")
    return float(mannwhitneyu(high, low).statistic) / (len(high) * len(low))


def rises(profile: np.ndarray) -> tuple[float, float]:
    """Return how H3K4me3 and H3K36me3 rise at the TSS, each over the rise of the next mark.

    profile: shape=(bins, marks). A rise is the mean of the 10 bins at the TSS over that of the 20
    outermost on either side.
    """
    outer = np.concatenate([profile[:20], profile[-20:]]).mean(axis=0)
    rise = np.divide(profile[45:55].mean(axis=0), outer, where=outer > 0, out=np.full(5, np.nan))
    others = np.delete(rise, [_K4ME3, _K36ME3])
    if np.isnan(others).all():
        return np.nan, np.nan
    highest = np.nanmax(np.append(others, rise[_K36ME3]))
    lowest = np.nanmin(np.append(others, rise[_K4ME3]))
    return float(rise[_K4ME3] / highest), float(rise[_K36ME3] / lowest)


def active_correlation(log_sums: np.ndarray) -> float:
    """Return by how much H3K4me1 correlates more with H3K4me3 than the repressive marks do."""
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN where a mark is constant
        r = dict(zip(MARKS, np.corrcoef(log_sums.T)[_K4ME3], strict=True))
    return float(r["H3K4me1"] - max(r["H3K27me3"], r["H3K9me3"]))


def downstream(counts: np.ndarray, strand: np.ndarray, sign: str, orientation: str) -> float:
    """Return the t statistic of (downstream - upstream) / (1 + both) over genes of one strand.

    counts: shape=(genes, bins).
    """
    counts = counts[strand == sign].astype(np.float64)
    if sign == "-" and orientation == "genomic":
        counts = counts[:, ::-1]
    upstream, downstream = counts[:, :45].sum(axis=1), counts[:, 55:].sum(axis=1)
    asymmetry = (downstream - upstream) / (downstream + upstream + 1)
    if len(asymmetry) < ENOUGH_GENES / 4 or not asymmetry.std():
        return np.nan
    return float(asymmetry.mean() / asymmetry.std() * np.sqrt(len(asymmetry)))


# --- between cell types ---------------------------------------------------------------------------


def every_gene(cells: list[CellMeasures]) -> np.ndarray:
    """Return the ids of the genes that any of the cell types has, sorted."""
    return np.unique(np.concatenate([cell.gene_id for cell in cells]))


def compare(cells: list[CellMeasures]) -> pd.DataFrame:
    """Compare cell types: a row for each.

    Columns: cell; missing_genes: how many of all genes it lacks; copy_of, swapped_with: the name of
    another cell type; exchanged_marks: two marks; for each mark "<mark> scale": its mean over the
    median of the other cell types', and "<mark> distinct counts of all". Null where there is
    nothing to tell.
    """
    genes = every_gene(cells)
    where = [np.searchsorted(genes, cell.gene_id) for cell in cells]
    table = pd.DataFrame({"cell": [cell.cell for cell in cells]})
    table["missing_genes"] = [len(genes) - len(cell.gene_id) for cell in cells]
    table["copy_of"] = _copies(cells, where, len(genes))
    table["swapped_with"] = _swapped(cells, where, len(genes))
    table["exchanged_marks"] = _exchanged(cells, where, len(genes))
    means = np.array([cell.profile.mean(axis=0) for cell in cells])
    for m, mark in enumerate(MARKS):
        table[f"{mark} scale"] = _scale(means[:, m])
        table[f"{mark} distinct counts of all"] = [cell.distinct_counts[m] for cell in cells]
    return table


def _aligned(values: np.ndarray, where: np.ndarray, n: int, empty: float) -> np.ndarray:
    out = np.full((n, *values.shape[1:]), empty, values.dtype)
    out[where] = values
    return out


def _copies(cells: list[CellMeasures], where: list[np.ndarray], n: int) -> list[str | None]:
    """Name, for each cell type, another with which it has too many identical genes in common."""
    print_ = [_aligned(cell.fingerprint, at, n, 0) for cell, at in zip(cells, where, strict=True)]
    found: list[str | None] = [None] * len(cells)
    for i, j in itertools.combinations(range(len(cells)), 2):
        both = (print_[i] != 0) & (print_[j] != 0)
        same = int((both & (print_[i] == print_[j])).sum())
        if same > A_COPY * both.sum():
            text = f"{same:,} of {both.sum():,} genes"
            found[i] = found[i] or f"{cells[j].cell} ({text})"
            found[j] = found[j] or f"{cells[i].cell} ({text})"
    return found


def _swapped(cells: list[CellMeasures], where: list[np.ndarray], n: int) -> list[str | None]:
    """Name, for each cell type, the one that it is swapped with, if any.

    On genes whose labels differ between two cell types, the difference of their scores should be
    larger where the first is high. Two are called swapped where it is smaller (P < 1e-4,
    Mann-Whitney) and this is each one's worst disagreement: the relatives of a swapped cell type
    disagree with it as well, but less.
    """
    label = [
        _aligned(cell.label.astype(float), at, n, np.nan)
        for cell, at in zip(cells, where, strict=True)
    ]
    p = np.ones((len(cells), len(cells)))
    score = [_aligned(c.score, at, n, np.nan) for c, at in zip(cells, where, strict=True)]
    auroc = np.ones_like(p)
    for i, j in itertools.combinations(range(len(cells)), 2):
        differs = np.abs(label[i] - label[j]) == 1  # false where either is unknown
        y, s = label[i][differs] == 1, (score[i] - score[j])[differs]
        if min(y.sum(), (~y).sum()) < 5:
            continue
        test = mannwhitneyu(s[y], s[~y], alternative="less")
        p[i, j] = p[j, i] = test.pvalue
        auroc[i, j] = auroc[j, i] = test.statistic / (y.sum() * (~y).sum())
    found: list[str | None] = [None] * len(cells)
    for i, j in itertools.combinations(range(len(cells)), 2):
        worst = auroc[i].argmin() == j and auroc[j].argmin() == i
        if worst and p[i, j] < 1e-4:
            found[i], found[j] = cells[j].cell, cells[i].cell
    return found


def _exchanged(cells: list[CellMeasures], where: list[np.ndarray], n: int) -> list[str | None]:
    """Name, for each cell type, two marks that correlate crosswise with the other cell types'."""
    found: list[str | None] = [None] * len(cells)
    total, count = np.zeros((n, len(MARKS))), np.zeros(n)
    scaled = []
    for cell, at in zip(cells, where, strict=True):
        spread = cell.log_sums.std(axis=0)
        scaled.append((cell.log_sums - cell.log_sums.mean(axis=0)) / np.where(spread, spread, 1))
        total[at] += scaled[-1]
        count[at] += 1
    for k, at in enumerate(where):
        shared = count[at] > 1
        if shared.sum() < ENOUGH_GENES:
            continue
        own = scaled[k][shared]
        others = (total[at][shared] - own) / (count[at][shared, None] - 1)
        varying = np.flatnonzero(own.std(axis=0) * others.std(axis=0))
        r = _decorrelated(own[:, varying]).T @ _decorrelated(others[:, varying])
        margins = [
            (r[i, i] + r[j, j] - r[i, j] - r[j, i], varying[i], varying[j])
            for i, j in itertools.combinations(range(len(varying)), 2)
        ]
        margin, i, j = min(margins, default=(0, 0, 0))
        if margin < -max(0.1, 3 / np.sqrt(shared.sum())):  # by chance: 0 with s.d. 2 / sqrt(genes)
            found[k] = f"{MARKS[i]} and {MARKS[j]}"
    return found


def _decorrelated(x: np.ndarray) -> np.ndarray:
    """Return columns of length 1, uncorrelated and each as close as can be to its own (ZCA).

    x: shape=(genes, marks). Active marks go together so much that without this, one correlates
    with another nearly as with itself.
    """
    u, _, v = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return u @ v


def _scale(means: np.ndarray) -> list[float | None]:
    """Return each mean over the median of the others; null for a mark without reads."""
    ratios: list[float | None] = []
    for k, mean in enumerate(means):
        others = np.delete(means, k)
        middle = float(np.median(others[others > 0])) if (others > 0).any() else 0.0
        ratios.append(round(float(mean) / middle, 3) if mean > 0 and middle > 0 else None)
    return ratios
