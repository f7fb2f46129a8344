"""Text files of intervals (tagAlign, BED, BEDPE, bedGraph), plain or gzip, read block by block."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from deepchrome.data.sources.assemblies import LONGEST, OVERHANG, beyond
from deepchrome.data.sources.contents import is_comment
from deepchrome.data.sources.text import damaged_gzip, is_gzip
from deepchrome.errors import DeepChromeError

BLOCK = 1 << 22
"""Bytes of text parsed at a time."""

_BOM = b"\xef\xbb\xbf"

_NO_DATA = re.compile(rb"^(?:#.*|(?:track|browser)(?:[ \t].*)?|[ \t]+)\r?\n?", re.MULTILINE)
"""Lines that are no data (`is_comment`) and that the parser would take for some."""

CHROM = STRAND = pa.dictionary(pa.int32(), pa.string())

BED = ("chrom", "start", "end", "name", "score", "strand")
BEDPE = (*BED[:3], "chrom2", "start2", "end2", "name", "score", "strand", "strand2")
BEDGRAPH = (*BED[:3], "value")
"""The columns of each format, as far as they are known; further ones have numbers for names."""

SIGNAL = "a number of at least 0 (fold change, -log10 p or coverage; no logarithm of a ratio)"
"""What a signal must be; its logarithm is taken of 1 + signal."""

_WHAT = {
    "score": "a mapping quality (reads.min_mapq)",
    "strand": "'+' or '-' (reads.count, reads.extend and reads.drop_duplicates need it)",
}


@dataclass(frozen=True)
class Block:
    """Some lines: chromosome names and, per line, an index into them, start, end and the rest.

    `extra`: the further columns asked for, by name. Of strands, whether they are minus.
    `line`: gives the number of the line in the file, from 1, that an interval stands in.
    """

    names: list[str]
    codes: np.ndarray
    start: np.ndarray
    end: np.ndarray
    extra: dict[str, np.ndarray]
    line: Callable[[int], int]


@dataclass(frozen=True)
class Table:
    """A text file of intervals whose columns are known: what reading it takes.

    `columns`: the names of all columns that a line has. `types`: those wanted beside chrom, start
    and end. `limits`: lengths of chromosomes, where known; positions may hang over by `OVERHANG`.
    """

    path: Path
    columns: list[str]
    types: dict[str, pa.DataType]
    limits: dict[str, int]


def table(
    path: Path,
    known: tuple[str, ...],
    columns: int,
    types: dict[str, pa.DataType],
    limits: dict[str, int],
) -> Table:
    """Return what reading a file takes that has so many columns, those of `known` first.

    Raises DeepChromeError where it lacks one that is wanted.
    """
    names = [known[i] if i < len(known) else f"column {i + 1}" for i in range(columns)]
    for name in types:
        if name not in names:
            raise DeepChromeError(
                f"{path}: found {columns} columns, expected column {known.index(name) + 1}, "
                f"{_WHAT[name.removesuffix('2')]}"
            )
    return Table(path, names, types, limits)


Bytes = Callable[[int], None]
"""Called with the bytes of the file read so far."""


def read_blocks(of: Table, on_bytes: Bytes = lambda read: None) -> Iterator[Block]:
    """Yield the intervals of a file: 0 <= start < end, end within reach of the chromosome's.

    Raises DeepChromeError for a damaged file, and with the line for anything else.
    """
    types = {"chrom": CHROM, "start": pa.int64(), "end": pa.int64(), **of.types}
    for offset, text in _texts(of.path, on_bytes):
        try:
            found = _parse(text, of.columns, types)
        except pa.ArrowInvalid as error:
            raise _fault(of, offset, text, str(error)) from None
        if not found.num_rows:
            continue
        block = _block(found, list(of.types), _Lines(of.path, offset, text))
        parts = mates(block) if "chrom2" in of.types else (block,)
        sound = all(_sound(part, of.limits) for part in parts)
        if not sound or _may_hold_hexadecimals(text):
            fault = _first_fault(of, offset, text)
            if fault:
                raise fault
        yield block


Progress = Callable[[int, int], None]
"""Called with intervals and bytes since the last call."""


def read_measured(of: Table, on_progress: Progress) -> Iterator[Block]:
    """Yield the intervals of a file, as `read_blocks`, and say after each block how far it is."""
    position = done = 0

    def on_bytes(read: int) -> None:
        nonlocal position
        position = read

    for block in read_blocks(of, on_bytes):
        yield block
        on_progress(len(block.start), position - done)
        done = position


def _texts(path: Path, on_bytes: Bytes) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines, about `BLOCK` bytes of them, and how many bytes come before them."""
    offset, rest = 0, b""
    try:
        with pa.OSFile(str(path)) as file:
            source = pa.CompressedInputStream(file, "gzip") if is_gzip(path) else file
            while data := source.read(BLOCK):
                if not offset and not rest:
                    data = data.removeprefix(_BOM)
                cut = data.rfind(b"\n") + 1
                on_bytes(file.tell())
                if not cut:
                    rest += data
                    if len(rest) > 1 << 24:
                        raise DeepChromeError(
                            f"{path}: a line longer than {1 << 24:,} bytes; expected intervals, "
                            "one a line"
                        )
                    continue
                text = rest + data[:cut]
                rest = data[cut:]
                yield offset, text
                offset += len(text)
            if rest:
                yield offset, rest
    except (OSError, EOFError) as error:
        raise damaged_gzip(path, error) from None


def _may_hold_hexadecimals(text: bytes) -> bool:
    return any(x in text and b"\t0" + x in text for x in (b"x", b"X"))  # one byte is found fast


def _parse(text: bytes, columns: list[str], types: dict[str, pa.DataType]) -> pa.RecordBatch:
    """Parse whole lines. Those that are no data are taken out only where some are found."""
    try:
        found = _parse_data(text, columns, types)
        names = found.column("chrom").dictionary.to_pylist()
        if not any(name.startswith("#") for name in names):
            return found
    except pa.ArrowInvalid:
        if not _NO_DATA.search(text):
            raise
    return _parse_data(_NO_DATA.sub(b"", text), columns, types)


def _parse_data(text: bytes, columns: list[str], types: dict[str, pa.DataType]) -> pa.RecordBatch:
    # a line end more, as nothing at all is an error of its own
    found = pacsv.read_csv(
        pa.BufferReader(text or b"\n"),
        pacsv.ReadOptions(block_size=len(text) + 1, column_names=columns),
        pacsv.ParseOptions(delimiter="\t", quote_char=False),
        pacsv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[]),
    )
    batches = found.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], found.schema)


def _block(batch: pa.RecordBatch, extra: list[str], line: Callable[[int], int]) -> Block:
    def array(name: str) -> np.ndarray:
        column = batch.column(name)
        if isinstance(column, pa.DictionaryArray):
            column = column.indices
        return column.to_numpy(zero_copy_only=False)

    further = {name: array(name) for name in extra}
    for name in extra:
        column = batch.column(name)
        if name.startswith("strand"):
            signs = column.dictionary.to_pylist()
            further[f"{name} known"] = np.array([sign in ("+", "-") for sign in signs])[
                further[name]
            ]
            further[name] = np.array([sign == "-" for sign in signs], bool)[further[name]]
        elif isinstance(column, pa.DictionaryArray):
            further[f"{name} names"] = np.array(column.dictionary.to_pylist(), object)
    chrom = batch.column("chrom")
    return Block(
        chrom.dictionary.to_pylist(),
        chrom.indices.to_numpy(),
        array("start"),
        array("end"),
        further,
        line,
    )


@dataclass(frozen=True)
class _Lines:
    """Finds the physical line of an interval of a block, which is needed for messages alone."""

    path: Path
    offset: int
    text: bytes

    def __call__(self, row: int) -> int:
        return next(n for i, (n, _) in enumerate(self.data()) if i == row)

    def data(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of each line of data."""
        number = 1
        for offset, text in _texts(self.path, lambda read: None):
            if offset == self.offset:
                break
            number += text.count(b"\n")
        for i, line in enumerate(self.text.removesuffix(b"\n").split(b"\n")):
            text_ = line.decode("utf-8", "backslashreplace").rstrip("\r")
            if not is_comment(text_):
                yield number + i, text_


def _sound(block: Block, limits: dict[str, int]) -> bool:
    """Tell whether all intervals of a block are what they should be."""
    if not len(block.start):
        return True
    ends = np.array([limits.get(name, LONGEST) for name in block.names], np.int64) + OVERHANG
    shortest = ends.min()  # of all reads of most blocks
    value = block.extra.get("value")
    return bool(
        all(block.names)
        and block.start.min() >= 0
        and (block.end > block.start).all()
        and (block.end.max() <= shortest or (block.end <= ends[block.codes]).all())
        and block.extra.get("strand known", np.True_).all()
        and (value is None or (~(value < 0) & ~np.isinf(value)).all())
    )


def mates(block: Block) -> tuple[Block, Block]:
    """Return the first mates of a block of BEDPE, and the second, those alone that are aligned."""
    extra = block.extra
    second = {name.replace("2", ""): of for name, of in extra.items() if "2" in name}
    shared = {name: extra[name] for name in ("score",) if name in extra}
    first = {name: of for name, of in extra.items() if name in ("strand", "strand known")}
    names = list(second.pop("chrom names"))
    codes, start, end = (second.pop(name) for name in ("chrom", "start", "end"))
    return (
        _aligned(
            Block(block.names, block.codes, block.start, block.end, first | shared, block.line)
        ),
        _aligned(Block(names, codes, start, end, second | shared, block.line)),
    )


def fragments(block: Block) -> Block:
    """Return the fragments of a block of BEDPE, of pairs that lie on one chromosome."""
    extra = block.extra
    of = {name: i for i, name in enumerate(block.names) if name != "."}
    same = np.array([of.get(name, -1) for name in extra["chrom2 names"]], np.int64)
    rows = np.flatnonzero(block.codes == same[extra["chrom2"]])
    return Block(
        block.names,
        block.codes[rows],
        np.minimum(block.start, extra["start2"])[rows],
        np.maximum(block.end, extra["end2"])[rows],
        {name: extra[name][rows] for name in ("score",) if name in extra},
        block.line,
    )


def _aligned(block: Block) -> Block:
    """Return the intervals of a block that lie anywhere: BEDPE writes '.' for the others."""
    rows = np.flatnonzero(np.array([name != "." for name in block.names], bool)[block.codes])
    extra = {name: column[rows] for name, column in block.extra.items()}
    return Block(
        block.names, block.codes[rows], block.start[rows], block.end[rows], extra, block.line
    )


def _fault(of: Table, offset: int, text: bytes, error: str) -> DeepChromeError:
    """Return the error for a block that cannot be parsed."""
    return _first_fault(of, offset, text) or DeepChromeError(f"{of.path}: {error}")


def _first_fault(of: Table, offset: int, text: bytes) -> DeepChromeError | None:
    """Find the first line of a block that is not what it should be; None if all are well."""
    for number, line in _Lines(of.path, offset, text).data():
        cells = line.split("\t")
        if len(cells) != len(of.columns):
            fault = f"found {len(cells)} columns, expected {len(of.columns)}: {line[:60]!r}"
        elif "\\x" in line and _not_text(text):
            fault = f"not text (UTF-8): {line[:60]!r}"
        else:
            row = dict(zip(of.columns, cells, strict=True))
            fault = line_fault(row, of)
        if fault:
            return DeepChromeError(f"{of.path}: line {number}: {fault}")
    return None


def _not_text(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def line_fault(row: dict[str, str], of: Table) -> str:
    """Say what is wrong with a line of data, by its columns; "" if nothing is."""
    for mate in ("", "2") if "start2" in of.types else ("",):
        if "start2" in of.types and row[f"chrom{mate}"] == ".":
            continue  # this mate is not aligned
        fault = _place_fault(row, mate, of.limits)
        if fault:
            return fault
        strand = f"strand{mate}"
        if strand in of.types and row[strand] not in ("+", "-"):
            return f"{strand}: found {row[strand][:40]!r}, expected '+' or '-'"
    if "score" in of.types and not _is_whole(row["score"]):
        return f"score: found {row['score'][:40]!r}, expected a whole number"
    if "value" in of.types:
        try:
            value = float(row["value"])
        except ValueError:
            value = -1.0
        if value < 0 or np.isinf(value):
            return f"value: found {row['value'][:40]!r}, expected {SIGNAL}"
    return ""


def _is_whole(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*-?[0-9]{1,18}\s*", cell, re.ASCII))


def _place_fault(row: dict[str, str], mate: str, limits: dict[str, int]) -> str:
    for name in (f"start{mate}", f"end{mate}"):
        if not _is_whole(row[name]):
            return f"{name}: found {row[name][:40]!r}, expected a whole number"
    chrom, start, end = row[f"chrom{mate}"], int(row[f"start{mate}"]), int(row[f"end{mate}"])
    interval = f"{chrom} {start:,} to {end:,}"
    if not chrom:
        return "no chromosome in the first column"
    if start < 0:
        return f"a negative start ({interval}); starts are counted from 0"
    if end <= start:
        return f"a reversed or empty interval ({interval}); expected start < end, on both strands"
    if end > limits.get(chrom, LONGEST) + OVERHANG:
        return beyond(chrom, end, {chrom: LONGEST} | limits)
    return ""
