"""What is expected of a dataset: one Great Expectations suite per cell type and one across them.

A check is stated on a small table that is derived from the dataset: a row per gene, per cell type,
or one row for a whole file, so that it is quick and its result names genes and cell types. Broken
facts are critical (bins, counts, splits, labels against RPKM, copied signals). What rests on
statistics or may be intended is a warning (profiles around the TSS, scale, swapped cell types).
"""

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from great_expectations.expectations.metadata_types import FailureSeverity
from scipy.stats import mannwhitneyu

from deepchrome import MARKS, N_BINS, SPLITS
from deepchrome.data.sources.expression import numeric_labels, text_labels
from deepchrome.params import ValidateParams

CRITICAL, WARNING = FailureSeverity.CRITICAL, FailureSeverity.WARNING

ENOUGH_GENES = 200
"""Statistical checks of fewer genes would fail by chance; they are left out."""

INFORMATIVE_BINS = 10
"""Two genes with fewer bins that hold any read can have identical signals by chance."""

_TEXT = ["string", "large_string"]
_WHOLE = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
_NUMBER = [*_WHOLE, "float", "double"]
_UNKNOWN = ["null"]  # the type of a column that is null throughout

SIGNALS_COLUMNS = {
    values: {"gene_id": _TEXT, "bin": _WHOLE, **dict.fromkeys(MARKS, allowed)}
    for values, allowed in (("counts", _WHOLE), ("signal", ["float"]))
}
"""By what the values are, dataset.json's `values`."""

GENES_COLUMNS = {
    "gene_id": _TEXT,
    "symbol": _TEXT + _UNKNOWN,
    "chrom": _TEXT + _UNKNOWN,
    "tss": _NUMBER + _UNKNOWN,
    "strand": _TEXT + _UNKNOWN,
    "split": _TEXT,
    "truncated": ["bool", *_UNKNOWN],
}
LABELS_COLUMNS = {
    "cell": _TEXT,
    "gene_id": _TEXT,
    "rpkm": _NUMBER + _UNKNOWN,
    "label": _WHOLE,
    "published_label": _NUMBER + _UNKNOWN,
}

_K4ME3, _K36ME3 = MARKS.index("H3K4me3"), MARKS.index("H3K36me3")
_REMAKE = "Make the dataset again with 'dvc repro ingest'."


@dataclass(frozen=True)
class Stated:
    """Expectations of one table; `index` is the column that names a row to the user."""

    table: pd.DataFrame
    expectations: list[gxe.Expectation]
    index: str | None = None


def _within(
    column: str,
    low: float | None,
    high: float | None,
    severity: FailureSeverity,
    description: str,
    todo: str,
) -> gxe.Expectation:
    """Expect each value to lie between two bounds; a null (not measurable) passes."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        severity=severity,
        description=description,
        notes=todo,
    )


def _absent(column: str, severity: FailureSeverity, description: str, todo: str) -> gxe.Expectation:
    """Expect a column that names faults to be null throughout."""
    return gxe.ExpectColumnValuesToBeNull(
        column=column, severity=severity, description=description, notes=todo
    )


def _present(column: str, description: str, todo: str) -> gxe.Expectation:
    """Expect a column without null."""
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column, severity=CRITICAL, description=description, notes=todo
    )


# --- the form of a file ---------------------------------------------------------------------------


def form_stated(path: Path, columns: dict[str, list[str]]) -> Stated:
    """State that a Parquet file can be read, and the names (in order) and types of its columns.

    The table has the file's columns, each with its type in the only row.
    """
    try:
        types = _column_types(path)
    except (OSError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        fault = "no such file" if missing else f"damaged or cut off: {error}"
        return Stated(
            pd.DataFrame({"fault": [fault]}),
            [_absent("fault", CRITICAL, f"{path.name} can be read", _REMAKE)],
        )
    stated: list[gxe.Expectation] = [
        gxe.ExpectTableColumnsToMatchOrderedList(
            column_list=list(columns),
            severity=CRITICAL,
            description=f"{path.name} has the columns {', '.join(columns)}, in this order",
            notes=_REMAKE,
        )
    ]
    words = {id(_TEXT): "text", id(_WHOLE): "whole numbers"}
    stated += [
        gxe.ExpectColumnValuesToBeInSet(
            column=column,
            value_set=allowed,
            severity=CRITICAL,
            description=f"{column} in {path.name} holds "
            + words.get(id(allowed), "one of: " + ", ".join(allowed)),
            notes=_REMAKE,
        )
        for column, allowed in columns.items()
        if column in types
    ]
    return Stated(types, stated)


def _column_types(path: Path) -> pd.DataFrame:
    types = {}
    for field in pq.read_schema(path):
        dictionary = pa.types.is_dictionary(field.type)
        types[field.name] = str(field.type.value_type if dictionary else field.type)
    return pd.DataFrame([types])


def gene_table_stated(genes: pd.DataFrame) -> Stated:
    """State what genes.parquet holds: each gene once, and so in one split for all cell types."""
    return Stated(
        genes,
        [
            _present("gene_id", "every row of genes.parquet names a gene", _REMAKE),
            gxe.ExpectColumnValuesToBeUnique(
                column="gene_id",
                severity=CRITICAL,
                description="each gene stands once in genes.parquet: it is in one split, the same "
                "in every cell type",
                notes="Remove the repeated genes, or the split that does not belong to them.",
            ),
            _present("split", "every gene has a split", _REMAKE),
            gxe.ExpectColumnValuesToBeInSet(
                column="split",
                value_set=list(SPLITS),
                severity=CRITICAL,
                description=f"split is one of {', '.join(SPLITS)}",
                notes=_REMAKE,
            ),
        ],
        "gene_id",
    )


def label_table_stated(labels: pd.DataFrame, cells: list[str]) -> Stated:
    """State which cell types labels.parquet has: those of the dataset, all of them."""
    present = pd.DataFrame({"cell": labels["cell"].drop_duplicates().astype(object)})
    return Stated(
        present,
        [
            _present("cell", "every row of labels.parquet names a cell type", _REMAKE),
            gxe.ExpectColumnDistinctValuesToEqualSet(
                column="cell",
                value_set=cells,
                severity=CRITICAL,
                description="labels.parquet has labels of every cell type, and of no other",
                notes=_REMAKE,
            ),
        ],
    )


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
    table = pq.read_table(path)
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


def genes_stated(rows: pd.DataFrame, rule: str, params: ValidateParams) -> Stated:
    """State the bins, counts, split and label of every gene of a cell type.

    rows: as returned by `gene_rows`. rule: the dataset's label rule, "rpkm" or "published".
    """
    stated = [
        _present("gene_id", "every row of the signals names a gene", _REMAKE),
        gxe.ExpectColumnValuesToBeUnique(
            column="gene_id",
            severity=CRITICAL,
            description="each gene stands once in the signals and once in the labels",
            notes="A gene was added twice; keep one.",
        ),
        _within(
            "rows",
            N_BINS,
            N_BINS,
            CRITICAL,
            f"each gene has {N_BINS} rows of signals",
            "More: the gene is repeated. Fewer: the file is cut off. None: it has only a label.",
        ),
        _within(
            "bins_in_order",
            N_BINS,
            N_BINS,
            CRITICAL,
            f"each gene has the bins 1 to {N_BINS} once, in this order",
            "A bin is missing, repeated or out of place.",
        ),
        _within("missing_counts", 0, 0, CRITICAL, "no count is missing", _REMAKE),
    ]
    for mark in MARKS:
        stated += [
            _within(
                f"{mark} lowest",
                0,
                None,
                CRITICAL,
                f"counts of {mark} are not negative",
                "Counts are numbers of reads; subtract no control from them.",
            ),
            _within(
                f"{mark} highest",
                None,
                params.max_count,
                CRITICAL,
                f"counts of {mark} are at most {params.max_count:,}",
                "A damaged or rescaled file; if such counts are real, raise validate.max_count.",
            ),
        ]
    stated += [
        _present("split", "every gene with signals is in genes.parquet", _REMAKE),
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="split",
            value_set=list(SPLITS),
            severity=CRITICAL,
            description="the cell type has genes in the train, valid and test split",
            notes="A split's genes were lost; look at the raw files of this cell type.",
        ),
        _present("label", "every gene with signals has a label", _REMAKE),
        gxe.ExpectColumnValuesToBeInSet(
            column="label",
            value_set=[0.0, 1.0],
            severity=CRITICAL,
            description="labels are 0 (low) or 1 (high)",
            notes=_REMAKE,
        ),
    ]
    if rule == "rpkm":
        stated.append(
            _present(
                "rpkm",
                "every gene has an RPKM",
                "Labels come from RPKM; add the genes to the expression table, or set "
                "data.labels: published.",
            )
        )
    if rows["label_by_rpkm"].notna().any():
        stated.append(
            gxe.ExpectColumnPairValuesToBeEqual(
                column_A="label",
                column_B="label_by_rpkm",
                ignore_row_if="either_value_is_missing",
                severity=CRITICAL if rule == "rpkm" else WARNING,
                description="the label is 1 exactly where RPKM is above the cell type's median",
                notes=_label_fault(rows)
                + (_REMAKE if rule == "rpkm" else "data.labels: rpkm corrects them."),
            )
        )
    return Stated(rows, stated, "gene_id")


def _label_fault(rows: pd.DataFrame) -> str:
    """Say whether comparing numbers as text explains the labels that differ from the rule."""
    wrong = (rows["label"] != rows["label_by_rpkm"]) & rows["label_by_rpkm"].notna()
    explained = int((wrong & (rows["label"] == rows["label_by_text"])).sum())
    if explained and explained >= 0.99 * wrong.sum():
        return "They were made by comparing numbers as text ('13.3' < '3.3'). "
    return "Labels are shuffled, of another cell type, or RPKM was changed after them. "


# --- the signals of one cell type -----------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What is kept of a cell type to compare it with the others; arrays in the order of `gene_id`.

    `log_sums`: shape=(genes, marks), log(1 + reads). `fingerprint`: of a gene's signals, 0 where
    too few bins hold reads. `score`: how high the signals say the gene is. `profile`:
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


def measure(cell: str, gene_id: np.ndarray, X: np.ndarray, label: np.ndarray) -> Measured:
    """Measure one cell type. X: shape=(genes, bins, marks), counts or signal. label: (genes,)."""
    log_sums = np.log1p(X.sum(axis=1, dtype=np.float64))
    flat = np.ascontiguousarray(X).reshape(len(X), -1)
    whole = np.issubdtype(X.dtype, np.integer)
    fingerprint = np.array(
        [
            int.from_bytes(hashlib.blake2b(gene.tobytes(), digest_size=8).digest())
            for gene in (flat.astype("<u4") if whole else flat)
        ],
        np.uint64,
    )
    fingerprint[np.count_nonzero(flat, axis=1) < INFORMATIVE_BINS] = 0
    distinct = [
        np.flatnonzero(np.bincount(X[:, :, m].ravel())) if whole else np.unique(X[:, :, m])
        for m in range(len(MARKS))
    ]
    return Measured(
        cell=cell,
        gene_id=gene_id,
        label=label,
        log_sums=log_sums,
        fingerprint=fingerprint,
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


def _auroc(label: np.ndarray, score: np.ndarray) -> float:
    high, low = score[label == 1], score[label == 0]
    if not len(high) or not len(low):
        return float("nan")
    return float(mannwhitneyu(high, low).statistic) / (len(high) * len(low))


def copies_stated(measured: Measured, genes: pd.DataFrame) -> Stated:
    """State that no two genes of a cell type have the same signals.

    genes: genes.parquet, indexed by gene_id. Genes that share a TSS have the same window.
    """
    rows = pd.DataFrame({"gene_id": measured.gene_id, "fingerprint": measured.fingerprint})
    rows = rows.join(genes[["split", "chrom", "tss"]], on="gene_id")
    rows["across_splits"] = rows["within_split"] = rows["shared_tss"] = None
    alike = rows[(rows["fingerprint"] != 0) & rows["fingerprint"].duplicated(keep=False)]
    for _, group in alike.groupby("fingerprint"):
        for one in group.itertuples():
            others = group[group["gene_id"] != one.gene_id]
            same_tss = (others["chrom"] == one.chrom) & (others["tss"] == one.tss)
            other_split = others["split"] != one.split
            for column, twins in (
                ("across_splits", others[~same_tss.fillna(False) & other_split]),
                ("within_split", others[~same_tss.fillna(False) & ~other_split]),
                ("shared_tss", others[same_tss.fillna(False) & other_split]),
            ):
                if len(twins):
                    twin = twins.iloc[0]
                    text = f"{one.split}, as {twin['gene_id']} in {twin['split']}"
                    rows.loc[one.Index, column] = text
    return Stated(
        rows.drop(columns=["fingerprint", "chrom"]).astype(object),
        [
            _absent(
                "across_splits",
                CRITICAL,
                "no gene has exactly the signals of a gene in another split",
                "Test genes were copied into train (or the like) under other ids, so that models "
                "are tested on what they learned; remove the copies.",
            ),
            _absent(
                "within_split",
                WARNING,
                "no gene has exactly the signals of another gene in its split",
                "Genes were copied under other ids; remove the copies.",
            ),
            _absent(
                "shared_tss",
                WARNING,
                "no gene shares its TSS, and so its signals, with a gene in another split",
                "A few such genes are in the published archive; test scores gain a little.",
            ),
        ],
        "gene_id",
    )


@dataclass(frozen=True)
class _Measure:
    """One number about a cell type, the bounds it is expected in, and a warning beyond them."""

    name: str
    value: float
    low: float | None
    high: float | None
    description: str
    todo: str

    def expectation(self) -> gxe.Expectation:
        return gxe.ExpectColumnMaxToBeBetween(  # of one row, so that Data Docs show the number
            column=self.name,
            min_value=self.low,
            max_value=self.high,
            severity=WARNING,
            description=self.description,
            notes=self.todo,
        )


def profile_stated(
    measured: Measured, strand: np.ndarray, X: np.ndarray, orientation: str, params: ValidateParams
) -> Stated:
    """State what a cell type's marks look like around the TSS, and its class balance.

    X: shape=(genes, bins, marks). strand: shape=(genes,), "+", "-" or null. What these genes are
    too few for, or cannot show, is left out.
    """
    low, high = params.class_balance
    measures = [
        _Measure(
            "share_high",
            float(measured.label.mean()),
            low,
            high,
            f"between {low:.0%} and {high:.0%} of the genes are high",
            "So few genes of one class give poor models and noisy scores.",
        )
    ]
    for mark, distinct, factor in zip(
        MARKS, measured.distinct_counts, measured.common_factor, strict=True
    ):
        measures += [
            _Measure(
                f"{mark} distinct counts",
                distinct,
                2,
                None,
                f"{mark} is not the same number in every bin of every gene (distinct counts)",
                "The mark was not measured here or got lost; models learn nothing from it.",
            ),
            _Measure(
                f"{mark} common factor",
                factor if distinct > 1 else np.nan,
                None,
                2 if mark == "H3K4me3" else 1,  # the published archive doubles H3K4me3
                f"the counts of {mark} are not all multiples of one number (common factor)",
                "The mark was multiplied by that number; divide by it.",
            ),
        ]
    if len(X) >= ENOUGH_GENES:
        measures += _shape_measures(measured, strand, X[:, :, _K36ME3], orientation)
    measures = [measure for measure in measures if np.isfinite(measure.value)]
    return Stated(
        pd.DataFrame([{measure.name: measure.value for measure in measures}]),
        [measure.expectation() for measure in measures],
    )


def _shape_measures(
    measured: Measured, strand: np.ndarray, k36me3: np.ndarray, orientation: str
) -> list[_Measure]:
    """Return what many genes show together; NaN where there is nothing to measure."""
    peak, dip = _rises(measured.profile)
    measures = [
        _Measure(
            "H3K4me3 at the TSS",
            peak,
            0.8,
            None,
            "of all marks H3K4me3 rises most at the TSS: its mean there over its mean in the "
            "outer bins is above that of the others (ratio to the next mark's)",
            "The H3K4me3 column holds another mark, or bins are not centred on the TSS.",
        ),
        _Measure(
            "H3K36me3 at the TSS",
            dip,
            None,
            1.2,
            "of all marks H3K36me3 is lowest at the TSS: its mean there over its mean in the "
            "outer bins is below that of the others (ratio to the next mark's)",
            "The H3K36me3 column holds another mark, or bins are not centred on the TSS.",
        ),
        _Measure(
            "H3K4me1 with H3K4me3",
            _active_correlation(measured.log_sums),
            -0.1,
            None,
            "over genes, H3K4me1 goes with H3K4me3 more than the repressive H3K27me3 and H3K9me3 "
            "do (difference of correlations)",
            "The column of H3K4me1 and that of H3K27me3 or H3K9me3 may be exchanged.",
        ),
        _Measure(
            "label AUROC",
            _auroc(measured.label, measured.score),
            0.6,
            None,
            "the five marks tell high genes from low ones: a linear fit on the log of each "
            "mark's sum, tested on genes it did not see, has an AUROC of at least 0.6",
            "Labels or signals are shuffled or of another cell type, labels are wrong, or the "
            "marks truly say little about expression here.",
        ),
    ]
    for name, sign in (("plus", "+"), ("minus", "-")):
        measures.append(
            _Measure(
                f"H3K36me3 downstream, {name} strand",
                _downstream(k36me3, strand, sign, orientation),
                -3,
                None,
                f"in genes on the {sign} strand H3K36me3, which marks gene bodies, is not higher "
                "upstream of the TSS than downstream (t statistic of downstream - upstream)",
                f"Bins run the other way than dataset.json says ({orientation}), or strands are "
                "wrong.",
            )
        )
    return measures


def _rises(profile: np.ndarray) -> tuple[float, float]:
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


def _active_correlation(log_sums: np.ndarray) -> float:
    """Return by how much H3K4me1 correlates more with H3K4me3 than the repressive marks do."""
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN where a mark is constant
        r = dict(zip(MARKS, np.corrcoef(log_sums.T)[_K4ME3], strict=True))
    return float(r["H3K4me1"] - max(r["H3K27me3"], r["H3K9me3"]))


def _downstream(counts: np.ndarray, strand: np.ndarray, sign: str, orientation: str) -> float:
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


# --- across cell types ----------------------------------------------------------------------------


def comparison_stated(cells: list[Measured]) -> Stated:
    """State how the cell types compare: a row per cell type."""
    genes = np.unique(np.concatenate([cell.gene_id for cell in cells]))
    where = [np.searchsorted(genes, cell.gene_id) for cell in cells]
    table = pd.DataFrame({"cell": [cell.cell for cell in cells]})
    table["missing_genes"] = [len(genes) - len(cell.gene_id) for cell in cells]
    table["copy_of"] = _copies(cells, where, len(genes))
    table["swapped_with"] = _swapped(cells, where, len(genes))
    table["exchanged_marks"] = _exchanged(cells, where, len(genes))
    stated = [
        _within(
            "missing_genes",
            0,
            0,
            WARNING,
            f"each cell type has all {len(genes):,} genes of the dataset (number that it lacks)",
            "A cell type's file was cut or filtered; if not, scores of cell types are over "
            "different genes and compare only on those in common.",
        ),
        _absent(
            "copy_of",
            CRITICAL,
            "no cell type has the signals of another",
            "A cell type was copied under another name; remove the copy or put in its own signals.",
        ),
        _absent(
            "swapped_with",
            WARNING,
            "where two cell types' labels differ, each one's signals agree with its own labels "
            "rather than with the other's",
            "The signals (or the labels) of the two cell types are swapped; rename the files.",
        ),
        _absent(
            "exchanged_marks",
            WARNING,
            "over genes, each mark correlates with itself in the other cell types rather than "
            "with another mark",
            "The columns of the two marks are exchanged, here or in most other cell types.",
        ),
    ]
    means = np.array([cell.profile.mean(axis=0) for cell in cells])
    for m, mark in enumerate(MARKS):
        table[f"{mark} scale"] = _scale(means[:, m])
        table[f"{mark} distinct counts"] = [cell.distinct_counts[m] for cell in cells]
        stated += [
            _within(
                f"{mark} scale",
                1 / 8,
                8,
                WARNING,
                f"the mean count of {mark} is within a factor of 8 of the other cell types' median",
                "The mark was scaled or is of far other depth here; bring it to read counts.",
            ),
            gxe.ExpectColumnMaxToBeBetween(
                column=f"{mark} distinct counts",
                min_value=2,
                severity=CRITICAL,
                description=f"{mark} is not the same number throughout in all cell types",
                notes="The mark is missing from the dataset; put it in.",
            ),
        ]
    return Stated(table, stated, "cell")


def _aligned(values: np.ndarray, where: np.ndarray, n: int, empty: Any) -> np.ndarray:
    out = np.full((n, *values.shape[1:]), empty, values.dtype)
    out[where] = values
    return out


def _copies(cells: list[Measured], where: list[np.ndarray], n: int) -> list[str | None]:
    """Name, for each cell type, another with which over 1% of the common genes are identical."""
    print_ = [_aligned(cell.fingerprint, at, n, 0) for cell, at in zip(cells, where, strict=True)]
    found: list[str | None] = [None] * len(cells)
    for i, j in itertools.combinations(range(len(cells)), 2):
        both = (print_[i] != 0) & (print_[j] != 0)
        same = int((both & (print_[i] == print_[j])).sum())
        if same > 0.01 * both.sum():
            text = f"{same:,} of {both.sum():,} genes"
            found[i] = found[i] or f"{cells[j].cell} ({text})"
            found[j] = found[j] or f"{cells[i].cell} ({text})"
    return found


def _swapped(cells: list[Measured], where: list[np.ndarray], n: int) -> list[str | None]:
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
    score = [
        None if c.score is None else _aligned(c.score, at, n, np.nan)
        for c, at in zip(cells, where, strict=True)
    ]
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


def _exchanged(cells: list[Measured], where: list[np.ndarray], n: int) -> list[str | None]:
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
