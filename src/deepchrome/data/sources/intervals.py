"""Text files of intervals (tagAlign, BED, bedGraph), plain or gzip, read block by block."""

import contextlib
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from deepchrome.data.sources.assemblies import beyond
from deepchrome.errors import DeepChromeError

BLOCK = 1 << 22
"""Bytes of text parsed at a time."""

_HEADERS = ("#", "track", "browser")
_LONGEST = 1 << 33
"""Positions stay far below what a place on the common axis can hold."""


@dataclass(frozen=True)
class Block:
    """Some lines: chromosome names and, per line, an index into them, start, end and the rest.

    `extra`: the further columns asked for, by name; text as (names, indices).
    """

    names: list[str]
    codes: np.ndarray
    start: np.ndarray
    end: np.ndarray
    extra: dict[str, np.ndarray]


def read_blocks(
    path: Path,
    columns: dict[str, pa.DataType],
    limits: dict[str, int],
    on_bytes: Callable[[int], None] = lambda read: None,
) -> Iterator[Block]:
    """Yield the intervals of a file: 0 <= start < end <= length of the chromosome.

    columns: those wanted beside chrom, start and end, of `_COLUMNS`, and their types. limits: the
    lengths of chromosomes, where known. on_bytes: called with the bytes of the file read so far.
    Raises DeepChromeError for a damaged or empty file, and with the line for anything else.
    """
    skip, names = _layout(path, list(columns))
    types = {"chrom": pa.dictionary(pa.int32(), pa.string()), "start": pa.int64()} | {
        "end": pa.int64(),
        **columns,
    }
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(pa.OSFile(str(path)))
            packed = _is_gzip(path)
            source = stack.enter_context(pa.CompressedInputStream(file, "gzip")) if packed else file
            for batch in pacsv.open_csv(
                source,
                pacsv.ReadOptions(block_size=BLOCK, column_names=names, skip_rows=skip),
                pacsv.ParseOptions(delimiter="\t", quote_char=False),
                pacsv.ConvertOptions(
                    column_types=types, include_columns=list(types), null_values=[]
                ),
            ):
                block = _block(batch, list(columns))
                if not _sound(block, limits):
                    raise DeepChromeError(
                        _first_bad_interval(path, names, columns, limits)
                        or f"{path}: a bad interval"
                    )
                yield block
                with contextlib.suppress(ValueError, OSError):  # the reader closes it at the end
                    on_bytes(file.tell())
    except pa.ArrowInvalid as error:
        raise DeepChromeError(
            _first_bad_interval(path, names, columns, limits) or f"{path}: {error}"
        ) from None
    except OSError as error:
        raise _damaged(path, error) from None


def _block(batch: pa.RecordBatch, extra: list[str]) -> Block:
    def array(name: str) -> np.ndarray:
        column = batch.column(name)
        if isinstance(column, pa.DictionaryArray):
            column = column.indices
        return column.to_numpy(zero_copy_only=False)

    further = {name: array(name) for name in extra}
    for name in extra:
        column = batch.column(name)
        if isinstance(column, pa.DictionaryArray):  # strand: True for minus
            signs = column.dictionary.to_pylist()
            further[f"{name} known"] = np.array([sign in ("+", "-") for sign in signs])
            further[name] = np.array([sign == "-" for sign in signs], bool)[further[name]]
    chrom = batch.column("chrom")
    return Block(
        chrom.dictionary.to_pylist(),
        chrom.indices.to_numpy(),
        array("start"),
        array("end"),
        further,
    )


def _sound(block: Block, limits: dict[str, int]) -> bool:
    """Tell whether all intervals of a block are what they should be."""
    if not len(block.start):
        return True
    ends = np.array([limits.get(name, _LONGEST) for name in block.names], np.int64)
    shortest = ends.min()  # of all reads of most blocks
    value = block.extra.get("value")
    return bool(
        block.start.min() >= 0
        and (block.end > block.start).all()
        and (block.end.max() <= shortest or (block.end <= ends[block.codes]).all())
        and block.extra.get("strand known", np.ones(1, bool)).all()
        and (value is None or (np.isfinite(value) & (value >= 0)).all())
    )


_COLUMNS = ("chrom", "start", "end", "name", "score", "strand")
_WHAT = {
    "score": "column 5, a mapping quality (reads.min_mapq)",
    "strand": "column 6, '+' or '-' (reads.count, reads.extend and reads.drop_duplicates need it)",
    "value": "column 4, a value",
}


def _layout(path: Path, wanted: list[str]) -> tuple[int, list[str]]:
    """Return how many lines of header a file has, and the names of its columns."""
    skip = 0
    try:
        with _open(path) as file:
            for line in file:
                if line.strip() and not line.startswith(_HEADERS):
                    n = line.rstrip("\r\n").count("\t") + 1
                    break
                skip += 1
            else:
                raise DeepChromeError(f"{path}: the file is empty; expected intervals, one a line")
    except (EOFError, OSError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        if isinstance(error, FileNotFoundError):
            raise DeepChromeError(f"{path}: no such file") from None
        raise _damaged(path, error) from None
    except UnicodeDecodeError:
        raise DeepChromeError(
            f"{path}: not a text file; expected chrom, start, end, separated by tabs"
        ) from None
    known = ["chrom", "start", "end", "value"] if "value" in wanted else list(_COLUMNS)
    names = [known[i] if i < len(known) else f"column {i + 1}" for i in range(n)]
    if n < 3:
        raise DeepChromeError(
            f"{path}: line {skip + 1}: found {n} columns, expected at least 3, separated by tabs: "
            "chromosome, start, end"
        )
    for name in wanted:
        if name not in names:
            raise DeepChromeError(
                f"{path}: line {skip + 1}: found {n} columns, expected {_WHAT[name]}"
            )
    return skip, names


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt") if _is_gzip(path) else open(path)


def _damaged(path: Path, error: Exception) -> DeepChromeError:
    return DeepChromeError(
        f"{path}: truncated or damaged gzip file ({error}); copy or download it again"
    )


def _first_bad_interval(
    path: Path, names: list[str], columns: dict[str, pa.DataType], limits: dict[str, int]
) -> str | None:
    """Find the first line that is not what it should be, and say so; None if all are well.

    Read line by line only when the fast reader has found a fault.
    """
    with _open(path) as file:
        data = False
        for number, line in enumerate(file, start=1):
            text = line.rstrip("\r\n")
            if not text or (not data and text.startswith(_HEADERS)):
                continue
            data = True
            where, cells = f"{path}: line {number}: ", text.split("\t")
            if len(cells) != len(names):
                return f"{where}found {len(cells)} columns, expected {len(names)}: {text[:60]!r}"
            row = dict(zip(names, cells, strict=True))
            for name in ("start", "end"):
                digits = row[name].removeprefix("-")
                if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
                    return f"{where}{name}: found {row[name][:40]!r}, expected a whole number"
            chrom, start, end = row["chrom"], int(row["start"]), int(row["end"])
            interval = f"{chrom} {start:,} to {end:,}"
            if start < 0:
                return f"{where}a negative start ({interval}); starts are counted from 0"
            if end <= start:
                return (
                    f"{where}a reversed or empty interval ({interval}); expected start < end, "
                    "on both strands"
                )
            if end > limits.get(chrom, _LONGEST):
                return f"{where}{beyond(chrom, end, limits)}"
            if "strand" in columns and row["strand"] not in ("+", "-"):
                return f"{where}strand: found {row['strand'][:40]!r}, expected '+' or '-'"
            fault = _value_fault(row, columns)
            if fault:
                return where + fault
    return None


def _value_fault(row: dict[str, str], columns: dict[str, pa.DataType]) -> str | None:
    for name, what in (("score", "a whole number"), ("value", SIGNAL)):
        if name in columns:
            try:
                value = float(row[name]) if name == "value" else int(row[name])
            except ValueError:
                value = -1.0
            if not (np.isfinite(value) and value >= 0):
                return f"{name}: found {row[name][:40]!r}, expected {what}"
    return None


SIGNAL = "a number of at least 0 (fold change, -log10 p or coverage; no logarithm of a ratio)"
"""What a signal must be; its logarithm is taken of 1 + signal."""
