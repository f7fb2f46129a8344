"""What is expected of the dataset's files: that they can be read, their columns, their keys."""

from pathlib import Path

import great_expectations.expectations as gxe
import pandas as pd
import pyarrow as pa

from deepchrome import MARKS, SPLITS, seals
from deepchrome.data.dataset import REMEDY
from deepchrome.data.expectations import CRITICAL, REMAKE, TableExpectations, absent, present
from deepchrome.errors import DeepChromeError

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


def of_file(path: Path, columns: dict[str, list[str]]) -> TableExpectations:
    """State that a Parquet file can be read, and the names (in order) and types of its columns.

    The table has the file's columns, each with its type in the only row.
    """
    try:
        types = _column_types(path)
    except DeepChromeError as error:
        return TableExpectations(
            pd.DataFrame({"fault": [str(error)]}),
            [absent("fault", CRITICAL, f"{path.name} can be read", REMAKE)],
        )
    stated: list[gxe.Expectation] = [
        gxe.ExpectTableColumnsToMatchOrderedList(
            column_list=list(columns),
            severity=CRITICAL,
            description=f"{path.name} has the columns {', '.join(columns)}, in this order",
            notes=REMAKE,
        )
    ]
    words = {tuple(_TEXT): "text", tuple(_WHOLE): "whole numbers"}
    stated += [
        gxe.ExpectColumnValuesToBeInSet(
            column=column,
            value_set=allowed,
            severity=CRITICAL,
            description=f"{column} in {path.name} holds "
            + words.get(tuple(allowed), "one of: " + ", ".join(allowed)),
            notes=REMAKE,
        )
        for column, allowed in columns.items()
        if column in types
    ]
    return TableExpectations(types, stated)


def _column_types(path: Path) -> pd.DataFrame:
    types = {}
    for field in seals.schema(path, REMEDY):
        dictionary = pa.types.is_dictionary(field.type)
        types[field.name] = str(field.type.value_type if dictionary else field.type)
    return pd.DataFrame([types])


def of_gene_table(genes: pd.DataFrame) -> TableExpectations:
    """State what genes.parquet holds: each gene once, and so in one split for all cell types."""
    return TableExpectations(
        genes,
        [
            present("gene_id", "every row of genes.parquet names a gene", REMAKE),
            gxe.ExpectColumnValuesToBeUnique(
                column="gene_id",
                severity=CRITICAL,
                description="each gene stands once in genes.parquet: it is in one split, the same "
                "in every cell type",
                notes="Remove the repeated genes, or the split that does not belong to them.",
            ),
            present("split", "every gene has a split", REMAKE),
            gxe.ExpectColumnValuesToBeInSet(
                column="split",
                value_set=list(SPLITS),
                severity=CRITICAL,
                description=f"split is one of {', '.join(SPLITS)}",
                notes=REMAKE,
            ),
        ],
        "gene_id",
    )


def of_label_table(labels: pd.DataFrame, cells: list[str]) -> TableExpectations:
    """State which cell types labels.parquet has: those of the dataset, all of them."""
    named = pd.DataFrame({"cell": labels["cell"].drop_duplicates().astype(object)})
    return TableExpectations(
        named,
        [
            present("cell", "every row of labels.parquet names a cell type", REMAKE),
            gxe.ExpectColumnDistinctValuesToEqualSet(
                column="cell",
                value_set=cells,
                severity=CRITICAL,
                description="labels.parquet has labels of every cell type, and of no other",
                notes=REMAKE,
            ),
        ],
    )
