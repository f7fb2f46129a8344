"""The layout of the published archive (Zenodo record 2652278).

`<EID>/classification/{train,valid,test}.csv`, no header, 100 rows a gene:
`gene,bin,H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3,label`, where `gene` is the last six digits of
the Ensembl id. Bins run in genomic order; H3K4me3 counts are twice the reads counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from deepchrome import MARKS, N_BINS, SPLITS
from deepchrome.data.sources.names import check_cell, check_distinct
from deepchrome.data.sources.text import open_text
from deepchrome.errors import DeepChromeError, listing

MAX_COUNT = np.iinfo(np.uint16).max
"""The largest count that a dataset can hold."""

GENE_PREFIX = "ENSG00000"
"""What precedes the six digits of a gene: `000003` is ENSG00000000003."""

_BLOCK = 2**26
"""Bytes that are read at once."""

MAX_BYTES = 2**30
"""Of one file, unpacked; the largest of the archive has 70 MB."""

_LETTERS = b"0123456789,\r\n"
"""All that a file may hold. The fast reader would take spaces, and 0x1F for 31."""

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


def empty_cells(raw: Path, cells: Sequence[str]) -> dict[str, list[str]]:
    """Return the empty files by cell type, as some of the published archive are."""
    empty = {
        cell: sorted(
            path.name
            for path in (raw / cell / "classification").glob("*.csv")
            if not path.stat().st_size
        )
        for cell in cells
    }
    return {cell: names for cell, names in empty.items() if names}


def refuse_empty(raw: Path, cells: Sequence[str]) -> None:
    """Refuse cell types of which a file is empty, all at once, and say how to go on without."""
    empty = empty_cells(raw, cells)
    if empty:
        others = [cell for cell in cells if cell not in empty]
        named = [f"{cell} ({', '.join(names)})" for cell, names in empty.items()]
        way = f"leave them out in params.yaml, with cells: [{', '.join(others)}]"
        raise DeepChromeError(
            f"{raw}: empty files of cell type {', '.join(named)}; expected {N_BINS} "
            f"rows a gene in each of train.csv, valid.csv and test.csv. Fetch them again, or {way}"
        )


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
        content = _content(path)
        names, codes, numbers = _parse(path, content, list(COLUMNS), ["label"])
        label = numbers["label"]
        if not (label <= 1).all():
            raise _fault(path, content, COLUMNS)
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
    content = _content(path)
    columns = list(COLUMNS)
    first = content.lstrip().partition(b"\n")[0]
    if label == "optional" and first.count(b",") == len(COLUMNS) - 2:
        columns.remove("label")
    names, codes, numbers = _parse(path, content, columns, columns[1:])
    in_range = ((numbers["bin"] >= 1) & (numbers["bin"] <= N_BINS)).all()
    if "label" in numbers:
        in_range &= (numbers["label"] <= 1).all()
    if not in_range:
        raise _fault(path, content, columns)
    counts = np.stack([numbers[mark] for mark in MARKS], axis=-1)
    return _by_gene(path, names, codes, numbers, counts)


def _content(path: Path) -> bytes:
    """Return the text of a file, unpacked where it is gzip; comments become empty lines."""
    expected = f"CSV, {N_BINS} rows a gene"
    with open_text(path, expected) as text:
        content = b""
        while len(content) <= MAX_BYTES and (block := text.buffer.read(_BLOCK)):
            content += block  # one read of MAX_BYTES would ask for that much memory
    if len(content) > MAX_BYTES:
        raise DeepChromeError(f"{path}: more than {MAX_BYTES:,} bytes; expected {expected}")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise DeepChromeError(f"{path}: the file is empty; expected {expected}")
    return re.sub(rb"(?m)^#[^\r\n]*", b"", content) if b"#" in content else content


def _parse(
    path: Path, content: bytes, columns: list[str], wanted: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return the gene names of a file, each row's index into them, and the wanted columns."""
    if content.translate(None, _LETTERS):
        raise _fault(path, content, columns)
    try:
        table = pacsv.read_csv(
            pa.BufferReader(content),
            read_options=pacsv.ReadOptions(column_names=columns),
            parse_options=pacsv.ParseOptions(quote_char=False),
            convert_options=pacsv.ConvertOptions(
                column_types={name: _TYPES[name] for name in columns},
                include_columns=["gene", *wanted],
                null_values=[],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _fault(path, content, columns, str(error)) from None
    gene = table["gene"].unify_dictionaries().combine_chunks()
    names = gene.dictionary.to_numpy(zero_copy_only=False).astype(str)
    if not all(_is_gene(name) for name in names):
        raise _fault(path, content, columns)
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


def _fault(
    path: Path, content: bytes, columns: Sequence[str], said: str = "a value is out of range"
) -> DeepChromeError:
    """Return the error for the first line that is not what it should be.

    Read line by line only when the fast reader has found a fault. said: in place of a line, where
    each by itself is well.
    """
    for number, line in enumerate(content.splitlines(), start=1):
        if line:
            found = _fault_of_row(line.decode("utf-8", "replace").split(","), columns)
            if found:
                return DeepChromeError(f"{path}: line {number}: {found}")
    return DeepChromeError(f"{path}: {said}")


def _fault_of_row(row: list[str], columns: Sequence[str]) -> str:
    """Say what of a row is not as it should be; empty where all is well."""
    if len(row) != len(columns):
        return f"found {len(row)} columns, expected {len(columns)} ({','.join(columns)})"
    if not _is_gene(row[0]):
        return (
            f"gene: found {row[0][:40]!r}, "
            "expected the last six digits of an Ensembl gene id, such as 000003"
        )
    for name, text in zip(columns[1:], row[1:], strict=True):
        low, high, what = {
            "bin": (1, N_BINS, f"a bin from 1 to {N_BINS}"),
            "label": (0, 1, "0 or 1"),
        }.get(name, (0, MAX_COUNT, f"a whole number of reads from 0 to {MAX_COUNT:,}"))
        whole = text.isascii() and text.isdigit() and len(text) < 19
        if not whole or not low <= int(text) <= high:
            return f"gene {GENE_PREFIX}{row[0]}, {name}: found {text[:40]!r}, expected {what}"
    return ""
