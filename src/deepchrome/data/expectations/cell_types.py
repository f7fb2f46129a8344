"""What is expected of a cell type's genes, signals and labels, and of cell types side by side."""

from dataclasses import dataclass

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd

from deepchrome import MARKS, N_BINS, SPLITS
from deepchrome.data import measures
from deepchrome.data.copies import twins
from deepchrome.data.expectations import (
    CRITICAL,
    REMAKE,
    WARNING,
    TableExpectations,
    absent,
    present,
    within,
)
from deepchrome.data.measures import CellMeasures

_K36ME3 = MARKS.index("H3K36me3")


def of_genes(rows: pd.DataFrame, rule: str, max_count: int | None) -> TableExpectations:
    """State the bins, counts, split and label of every gene of a cell type.

    rows: as returned by `measures.gene_rows`. rule: the dataset's label rule, "rpkm" or
    "published". max_count: the most reads of one mark in one bin; None for
    signal, which has no unit.
    """
    stated = [
        present("gene_id", "every row of the signals names a gene", REMAKE),
        gxe.ExpectColumnValuesToBeUnique(
            column="gene_id",
            severity=CRITICAL,
            description="each gene stands once in the signals and once in the labels",
            notes="A gene was added twice; keep one.",
        ),
        within(
            "rows",
            N_BINS,
            N_BINS,
            CRITICAL,
            f"each gene has {N_BINS} rows of signals",
            "More: the gene is repeated. Fewer: the file is cut off. None: it has only a label.",
        ),
        within(
            "bins_in_order",
            N_BINS,
            N_BINS,
            CRITICAL,
            f"each gene has the bins 1 to {N_BINS} once, in this order",
            "A bin is missing, repeated or out of place.",
        ),
        within("missing_counts", 0, 0, CRITICAL, "no count is missing", REMAKE),
    ]
    for mark in MARKS:
        stated += [
            within(
                f"{mark} lowest",
                0,
                None,
                CRITICAL,
                f"counts of {mark} are not negative",
                "Counts are numbers of reads; subtract no control from them.",
            ),
        ]
        if max_count is not None:
            stated.append(
                within(
                    f"{mark} highest",
                    None,
                    max_count,
                    CRITICAL,
                    f"counts of {mark} are at most {max_count:,}",
                    "A damaged or rescaled file; if such counts are real, raise "
                    "validate.max_count.",
                )
            )
    stated += [
        present("split", "every gene with signals is in genes.parquet", REMAKE),
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="split",
            value_set=list(SPLITS),
            severity=CRITICAL,
            description="the cell type has genes in the train, valid and test split",
            notes="A split's genes were lost; look at the raw files of this cell type.",
        ),
        present("label", "every gene with signals has a label", REMAKE),
        gxe.ExpectColumnValuesToBeInSet(
            column="label",
            value_set=[0.0, 1.0],
            severity=CRITICAL,
            description="labels are 0 (low) or 1 (high)",
            notes=REMAKE,
        ),
    ]
    if rule == "rpkm":
        stated.append(
            present(
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
                + (REMAKE if rule == "rpkm" else "data.labels: rpkm corrects them."),
            )
        )
    return TableExpectations(rows, stated, "gene_id")


def _label_fault(rows: pd.DataFrame) -> str:
    """Say whether comparing numbers as text explains the labels that differ from the rule."""
    wrong = (rows["label"] != rows["label_by_rpkm"]) & rows["label_by_rpkm"].notna()
    explained = int((wrong & (rows["label"] == rows["label_by_text"])).sum())
    if explained and explained >= 0.99 * wrong.sum():
        return "They were made by comparing numbers as text ('13.3' < '3.3'). "
    return "Labels are shuffled, of another cell type, or RPKM was changed after them. "


def of_copies(cell: CellMeasures, genes: pd.DataFrame) -> TableExpectations:
    """State that no two genes of a cell type have the same signals.

    genes: genes.parquet, indexed by gene_id.
    """
    return TableExpectations(
        twins(cell.gene_id, cell.fingerprint, genes),
        [
            absent(
                "across_splits",
                CRITICAL,
                "no gene has exactly the signals of a gene in another split",
                "Test genes were copied into train (or the like) under other ids, so that models "
                "are tested on what they learned; remove the copies.",
            ),
            absent(
                "within_split",
                WARNING,
                "no gene has exactly the signals of another gene in its split",
                "Genes were copied under other ids; remove the copies.",
            ),
            absent(
                "shared_tss",
                WARNING,
                "no gene shares its TSS (or nearly), and so its signals, with a gene in another "
                "split",
                "A few such genes are in the published archive; test scores gain a little.",
            ),
        ],
        "gene_id",
    )


@dataclass(frozen=True)
class _Bounded:
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


def of_profile(
    cell: CellMeasures,
    strand: np.ndarray,
    X: np.ndarray,
    orientation: str,
    class_balance: tuple[float, float],
) -> TableExpectations:
    """State what a cell type's marks look like around the TSS, and its class balance.

    X: shape=(genes, bins, marks). strand: shape=(genes,), "+", "-" or null. What these genes are
    too few for, or cannot show, is left out.
    """
    low, high = class_balance
    numbers = [
        _Bounded(
            "share_high",
            float(cell.label.mean()),
            low,
            high,
            f"between {low:.0%} and {high:.0%} of the genes are high",
            "So few genes of one class give poor models and noisy scores.",
        )
    ]
    for mark, distinct, factor in zip(MARKS, cell.distinct_counts, cell.common_factor, strict=True):
        numbers += [
            _Bounded(
                f"{mark} distinct counts",
                distinct,
                2,
                None,
                f"{mark} is not the same number in every bin of every gene (distinct counts)",
                "The mark was not measured here or got lost; models learn nothing from it.",
            ),
            _Bounded(
                f"{mark} common factor",
                factor if distinct > 1 else np.nan,
                None,
                2 if mark == "H3K4me3" else 1,  # the published archive doubles H3K4me3
                f"the counts of {mark} are not all multiples of one number (common factor)",
                "The mark was multiplied by that number; divide by it.",
            ),
        ]
    if len(X) >= measures.ENOUGH_GENES:
        numbers += _shape(cell, strand, X[:, :, _K36ME3], orientation)
    numbers = [number for number in numbers if np.isfinite(number.value)]
    return TableExpectations(
        pd.DataFrame([{number.name: number.value for number in numbers}]),
        [number.expectation() for number in numbers],
    )


def _shape(
    cell: CellMeasures, strand: np.ndarray, k36me3: np.ndarray, orientation: str
) -> list[_Bounded]:
    """Return what many genes show together; NaN where there is nothing to measure."""
    peak, dip = measures.rises(cell.profile)
    numbers = [
        _Bounded(
            "H3K4me3 at the TSS",
            peak,
            0.8,
            None,
            "of all marks H3K4me3 rises most at the TSS: its mean there over its mean in the "
            "outer bins is above that of the others (ratio to the next mark's)",
            "The H3K4me3 column holds another mark, or bins are not centred on the TSS.",
        ),
        _Bounded(
            "H3K36me3 at the TSS",
            dip,
            None,
            1.2,
            "of all marks H3K36me3 is lowest at the TSS: its mean there over its mean in the "
            "outer bins is below that of the others (ratio to the next mark's)",
            "The H3K36me3 column holds another mark, or bins are not centred on the TSS.",
        ),
        _Bounded(
            "H3K4me1 with H3K4me3",
            measures.active_correlation(cell.log_sums),
            -0.1,
            None,
            "over genes, H3K4me1 goes with H3K4me3 more than the repressive H3K27me3 and H3K9me3 "
            "do (difference of correlations)",
            "The column of H3K4me1 and that of H3K27me3 or H3K9me3 may be exchanged.",
        ),
        _Bounded(
            "label AUROC",
            measures.auroc(cell.label, cell.score),
            0.6,
            None,
            "the five marks tell high genes from low ones: a linear fit on the log of each "
            "mark's sum, tested on genes it did not see, has an AUROC of at least 0.6",
            "Labels or signals are shuffled or of another cell type, labels are wrong, or the "
            "marks truly say little about expression here.",
        ),
    ]
    for name, sign in (("plus", "+"), ("minus", "-")):
        numbers.append(
            _Bounded(
                f"H3K36me3 downstream, {name} strand",
                measures.downstream(k36me3, strand, sign, orientation),
                -3,
                None,
                f"in genes on the {sign} strand H3K36me3, which marks gene bodies, is not higher "
                "upstream of the TSS than downstream (t statistic of downstream - upstream)",
                f"Bins run the other way than dataset.json says ({orientation}), or strands are "
                "wrong.",
            )
        )
    return numbers


def of_comparison(cells: list[CellMeasures]) -> TableExpectations:
    """State how the cell types compare: a row per cell type."""
    n = len(measures.every_gene(cells))
    stated = [
        within(
            "missing_genes",
            0,
            0,
            WARNING,
            f"each cell type has all {n:,} genes of the dataset (number that it lacks)",
            "A cell type's file was cut or filtered; if not, scores of cell types are over "
            "different genes and compare only on those in common.",
        ),
        absent(
            "copy_of",
            CRITICAL,
            "no cell type has the signals of another",
            "A cell type was copied under another name; remove the copy or put in its own signals.",
        ),
        absent(
            "swapped_with",
            WARNING,
            "where two cell types' labels differ, each one's signals agree with its own labels "
            "rather than with the other's",
            "The signals (or the labels) of the two cell types are swapped; rename the files.",
        ),
        absent(
            "exchanged_marks",
            WARNING,
            "over genes, each mark correlates with itself in the other cell types rather than "
            "with another mark",
            "The columns of the two marks are exchanged, here or in most other cell types.",
        ),
    ]
    for mark in MARKS:
        stated += [
            within(
                f"{mark} scale",
                1 / 8,
                8,
                WARNING,
                f"the mean count of {mark} is within a factor of 8 of the other cell types' median",
                "The mark was scaled or is of far other depth here; bring it to read counts.",
            ),
            gxe.ExpectColumnMaxToBeBetween(
                column=f"{mark} distinct counts of all",
                min_value=2,
                severity=CRITICAL,
                description=f"{mark} is not the same number throughout in all cell types",
                notes="The mark is missing from the dataset; put it in.",
            ),
        ]
    return TableExpectations(measures.compare(cells), stated, "cell")
