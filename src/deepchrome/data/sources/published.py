"""The layout of the published archive (Zenodo record 2652278).

`<EID>/classification/{train,valid,test}.csv`, no header, 100 rows a gene:
`gene,bin,H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3,label`, where `gene` is the last six digits of
the Ensembl id. Bins run in genomic order; H3K4me3 counts are twice the reads counted.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from deepchrome import MARKS, N_BINS, SPLITS
from deepchrome.data.sources.names import check_cell, check_distinct
from deepchrome.errors import DeepChromeError, listing

MAX_COUNT = np.iinfo(np.uint16).max
"""The largest count that a dataset can hold."""

GENE_PREFIX = "ENSG00000"
"""What precedes the six digits of a gene: `000003` is ENSG00000000003."""

_H3K4ME3 = MARKS.index("H3K4me3")

COLUMNS = ("gene", "bin", *MARKS, "label")

_TYPES = {
    "gene": pa.dictionary(pa.int32(), pa.string()),
    "bin": pa.uint8(),
    **{mark: pa.uint16() for mark in MARKS},
    "label": pa.uint8(),
}
"""The narrowest that hold what is in range, so that little is left to check."""


@dataclass(frozen=True)
class Table:
    """The genes of one file, sorted by id.

    `gene_id`: shape=(genes,). `X`: shape=(genes, bins, marks), uint16. `label`: shape=(genes,),
    int8, or None where the file has no label column. `repeated`: genes that the file holds twice.
    """

    gene_id: np.ndarray
    X: np.ndarray
    label: np.ndarray | None
    repeated: list[str]


def cell_types(raw: Path) -> list[str]:
    """Return the cell types of a raw directory: its folders that hold `classification/`.

    Raises DeepChromeError for a folder whose name cannot be a cell type's, and for two whose names
    differ in case alone.
    """
    folders = [path.parent for path in raw.glob("[!.]*/classification") if path.is_dir()]
    cells = sorted(folder.name for folder in folders)
    for cell in cells:
        check_cell(cell, f"{raw}: ")
    check_distinct(cells, f"{raw}: ")
    return cells


def read_splits(raw: Path, cell: str) -> tuple[Table, np.ndarray]:
    """Read the three files of one cell type as one table, and each gene's split.

    Raises DeepChromeError for a missing file, any fault within a file, and a gene in two splits.
    """
    tables = [read(path) for path in _paths(raw, cell)]
    gene_id, order = _merge(raw / cell, [table.gene_id for table in tables])
    split = np.repeat(np.array(SPLITS, object), [len(table.gene_id) for table in tables])[order]
    label = np.concatenate([table.label for table in tables if table.label is not None])
    repeated = [gene for table in tables for gene in table.repeated]
    X = np.concatenate([table.X for table in tables])[order]
    return Table(gene_id, X, label[order], repeated), split


def read_labels(raw: Path, cell: str) -> tuple[np.ndarray, np.ndarray]:
    """Read only the labels of one cell type: its genes, sorted by id, and their labels (int8).

    In half the time of `read_splits`: counts and bins are not looked at. Raises DeepChromeError for
    a missing file, a gene in two splits, with fewer than 100 rows or with two labels, and for what
    is no gene or no label.
    """
    genes, labels = [], []
    for path in _paths(raw, cell):
        names, codes, numbers = _parse(path, _columns(path), ["label"])
        label = numbers["label"]
        if not (label <= 1).all():
            raise DeepChromeError(
                _first_bad_row(path, COLUMNS) or f"{path}: a value is out of range"
            )
        rows = np.bincount(codes, minlength=len(names))
        high = np.bincount(codes, weights=label, minlength=len(names))
        gene_id = np.char.add(GENE_PREFIX, names)
        if (rows < N_BINS).any():
            i = int(np.argmax(rows < N_BINS))
            raise DeepChromeError(
                f"{path}: gene {gene_id[i]} has {rows[i]} of {N_BINS} bins. Is the file cut short?"
            )
        mixed = (high > 0) & (high < rows)
        if mixed.any():
            raise DeepChromeError(_mixed_label(path, gene_id[int(np.argmax(mixed))]))
        genes.append(gene_id.astype(object))
        labels.append((high > 0).astype(np.int8))
    merged, order = _merge(raw / cell, genes)
    return merged, np.concatenate(labels)[order]


def _paths(raw: Path, cell: str) -> list[Path]:
    """Return the files of one cell type, all of which are there."""
    folder = raw / cell / "classification"
    paths = [folder / f"{split}.csv" for split in SPLITS]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DeepChromeError(
            f"{folder}: {listing(missing)} missing; expected train.csv, valid.csv and test.csv"
        )
    return paths


def _merge(folder: Path, genes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the genes of the three splits, sorted, and their order; none may be in two."""
    gene_id = np.concatenate(genes)
    split = np.repeat(np.array(SPLITS, object), [len(part) for part in genes])
    order = np.argsort(gene_id, kind="stable")
    gene_id, split = gene_id[order], split[order]
    twice = np.flatnonzero(gene_id[1:] == gene_id[:-1])
    if len(twice):
        i = int(twice[0])
        raise DeepChromeError(
            f"{folder / 'classification'}: gene {gene_id[i]} is in both {split[i]}.csv and "
            f"{split[i + 1]}.csv; a gene belongs to one split ({len(twice):,} such genes)"
        )
    return gene_id, order


def read(path: Path, *, label: str = "required") -> Table:
    """Read and check one file.

    label: "required", or "optional": the column may be absent, and is not used.
    Raises DeepChromeError with the file, the line or gene, what was found and what was expected.
    """
    columns = _columns(path, label)
    names, codes, numbers = _parse(path, columns, columns[1:])
    in_range = ((numbers["bin"] >= 1) & (numbers["bin"] <= N_BINS)).all()
    if "label" in numbers:
        in_range &= (numbers["label"] <= 1).all()
    if not in_range:
        raise DeepChromeError(_first_bad_row(path, columns) or f"{path}: a value is out of range")
    counts = np.stack([numbers[mark] for mark in MARKS], axis=-1)
    return _by_gene(path, names, codes, numbers, counts)


def _columns(path: Path, label: str = "required") -> list[str]:
    """Return the columns of a file, by its first line."""
    try:
        with open(path, encoding="utf-8") as file:
            first = file.readline()
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file") from None
    except (UnicodeDecodeError, IsADirectoryError):
        raise DeepChromeError(f"{path}: not a text file; expected a CSV") from None
    if not first.strip():
        raise DeepChromeError(f"{path}: the file is empty; expected {N_BINS} rows a gene")
    without_label = label == "optional" and first.count(",") == len(COLUMNS) - 2
    return list(COLUMNS[:-1] if without_label else COLUMNS)


def _parse(
    path: Path, columns: list[str], wanted: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the gene names of a file, each row's index into them, and the wanted columns."""
    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(column_names=columns),
            parse_options=pacsv.ParseOptions(quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types={name: _TYPES[name] for name in columns},
                include_columns=["gene", *wanted],
                null_values=[],
            ),
        )
    except pa.ArrowInvalid as error:
        raise DeepChromeError(_first_bad_row(path, columns) or f"{path}: {error}") from None
    gene = table["gene"].unify_dictionaries().combine_chunks()
    names = gene.dictionary.to_numpy(zero_copy_only=False).astype(str)
    if not all(_is_gene(name) for name in names):
        raise DeepChromeError(_first_bad_row(path, columns) or f"{path}: a gene is out of range")
    return names, gene.indices.to_numpy(), {name: table[name].to_numpy() for name in wanted}


def halve_h3k4me3(X: np.ndarray, gene_id: np.ndarray, source: Path) -> np.ndarray:
    """Return counts with H3K4me3 halved: the archive holds exactly twice the reads counted.

    X: shape=(genes, bins, marks). Raises DeepChromeError, naming `source`, for an odd count.
    """
    odd = X[:, :, _H3K4ME3] % 2 == 1
    if odd.any():
        gene, b = (int(i) for i in np.argwhere(odd)[0])
        raise DeepChromeError(
            f"{source}: gene {gene_id[gene]}, bin {b + 1}: H3K4me3 is {X[gene, b, _H3K4ME3]}, an "
            "odd count, so H3K4me3 is not doubled here as in the published archive; "
            "set data.h3k4me3_doubled: false (predict: --h3k4me3-single)"
        )
    X = X.copy()
    X[:, :, _H3K4ME3] //= 2
    return X


def _by_gene(
    path: Path,
    names: np.ndarray,
    codes: np.ndarray,
    numbers: dict[str, np.ndarray],
    counts: np.ndarray,
) -> Table:
    """Turn checked rows into one block of 100 bins a gene, sorted by gene."""
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(names)] = np.arange(len(names))
    key = rank[codes] * (N_BINS + 1) + numbers["bin"]  # orders by gene, then bin
    label = numbers.get("label")
    repeated: list[str] = []
    order = np.argsort(key, kind="stable")  # close to linear on rows already in order
    key, counts = key[order], counts[order]
    label = label[order] if label is not None else None
    gene_id = np.char.add(GENE_PREFIX, np.sort(names))
    again = np.flatnonzero(key[1:] == key[:-1]) + 1
    if len(again):
        differs = (counts[again] != counts[again - 1]).any(axis=1)
        if differs.any():
            i = int(again[np.argmax(differs)])
            raise DeepChromeError(
                f"{path}: gene {gene_id[key[i] // (N_BINS + 1)]} has bin {key[i] % (N_BINS + 1)} "
                f"twice with different counts ({_row(counts[i - 1])} and {_row(counts[i])}); "
                "expected each bin once"
            )
        if label is not None and (label[again] != label[again - 1]).any():
            i = int(again[np.argmax(label[again] != label[again - 1])])
            raise DeepChromeError(_mixed_label(path, gene_id[key[i] // (N_BINS + 1)]))
        keep = np.ones(len(key), bool)
        keep[again] = False
        repeated = sorted(set(gene_id[key[again] // (N_BINS + 1)]))
        key, counts = key[keep], counts[keep]
        label = label[keep] if label is not None else None
    per_gene = np.bincount(key // (N_BINS + 1), minlength=len(names))
    if (per_gene != N_BINS).any():
        i = int(np.argmax(per_gene != N_BINS))
        present = set(key[key // (N_BINS + 1) == i] % (N_BINS + 1))
        absent = sorted(set(range(1, N_BINS + 1)) - present)
        raise DeepChromeError(
            f"{path}: gene {gene_id[i]} has {per_gene[i]} of {N_BINS} bins; "
            f"missing: {listing(absent)}. Is the file cut short?"
        )
    if label is not None:
        label = label.reshape(-1, N_BINS)
        mixed = (label != label[:, :1]).any(axis=1)
        if mixed.any():
            raise DeepChromeError(_mixed_label(path, gene_id[int(np.argmax(mixed))]))
        label = label[:, 0].astype(np.int8)
    return Table(gene_id.astype(object), counts.reshape(-1, N_BINS, len(MARKS)), label, repeated)


def _row(counts: np.ndarray) -> str:
    return " ".join(str(count) for count in counts)


def _mixed_label(path: Path, gene: str) -> str:
    return f"{path}: gene {gene} has rows labelled 0 and rows labelled 1; expected one label a gene"


def _is_gene(name: str) -> bool:
    return len(name) == 6 and name.isascii() and name.isdigit()


def _first_bad_row(path: Path, columns: Sequence[str]) -> str | None:
    """Find the first line that is not what it should be, and say so; None if all are well.

    Read line by line only when the fast reader has found a fault.
    """
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        for number, row in enumerate(csv.reader(file, quoting=csv.QUOTE_NONE), start=1):
            if not row:
                continue
            where = f"{path}: line {number}: "
            if len(row) != len(columns):
                return (
                    f"{where}found {len(row)} columns, "
                    f"expected {len(columns)} ({','.join(columns)})"
                )
            if not _is_gene(row[0]):
                return (
                    f"{where}gene: found {row[0]!r}, "
                    "expected the last six digits of an Ensembl gene id, such as 000003"
                )
            where += f"gene {GENE_PREFIX}{row[0]}, "
            for name, text in zip(columns[1:], row[1:], strict=True):
                low, high, what = {
                    "bin": (1, N_BINS, f"a bin from 1 to {N_BINS}"),
                    "label": (0, 1, "0 or 1"),
                }.get(name, (0, MAX_COUNT, f"a whole number of reads from 0 to {MAX_COUNT:,}"))
                digits = text.removeprefix("-")
                whole = digits.isascii() and digits.isdigit() and len(digits) < 19
                if not whole or not low <= int(text) <= high:
                    return f"{where}{name}: found {text[:40]!r}, expected {what}"
    return None
