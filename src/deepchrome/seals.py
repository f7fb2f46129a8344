"""Files that know when they are damaged: a SHA-256 goes with JSON and Parquet, checked on reading.

JSON holds it under the key `checksum`, of all else. Parquet holds it between its pages and its
footer, where readers of Parquet never look, of every other byte: Parquet's own checksums of pages
leave the footer and the pages' headers open. A file without one is refused: where bits are damaged,
the mark of the checksum is too.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome import files
from deepchrome.errors import DeepChromeError

_KEY = "checksum"
_MARK = b"\x00deepchrome:sha256:"
_TAIL = 8  # a Parquet file ends with its footer's length and b"PAR1"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file with its checksum."""
    files.write_json(path, content | {_KEY: _digest(json.loads(json.dumps(content)))})


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """Read what `write_json` wrote, without the checksum.

    remedy: what to do where it is missing or damaged. Raises DeepChromeError as `files.read_json`
    does, and where the content is not what was written.
    """
    content = files.read_json(path, remedy)
    known = content.pop(_KEY, None)
    if known is None:
        raise DeepChromeError(f"{path}: no {_KEY} here: an earlier version wrote it; {remedy}")
    if known != _digest(content):
        raise DeepChromeError(
            f"{path}: damaged or changed since it was written (its checksum does not fit); {remedy}"
        )
    return content


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Return a file's SHA-256, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(path: Path) -> None:
    """Put the checksum into a Parquet file that was just written."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(-_TAIL, os.SEEK_END)
        footer = int.from_bytes(file.read(4), "little") + _TAIL
        file.seek(-footer, os.SEEK_END)
        end = file.read()
        file.seek(-footer, os.SEEK_END)
        file.write(_MARK + digest + end)


def check(content: bytes, source: str, remedy: str) -> pa.Buffer:
    """Return a Parquet file's content for pyarrow to read, if it is as it was written.

    source: what to call the file in a message. Raises DeepChromeError where it is damaged.
    """
    at = content.rfind(_MARK)
    if at < 0:
        raise DeepChromeError(
            f"{source}: damaged or cut off, or another tool or an earlier version wrote it: "
            f"no checksum here; {remedy}"
        )
    view, after = memoryview(content), at + len(_MARK)
    digest = hashlib.sha256(view[:at])
    digest.update(view[after + 32 :])
    if digest.digest() != content[after : after + 32]:
        raise DeepChromeError(f"{source}: damaged or cut off: its checksum does not fit; {remedy}")
    return pa.py_buffer(content)


def open_parquet(path: Path, remedy: str) -> pa.Buffer:
    """Return a Parquet file's content, checked. Raises DeepChromeError as `read_parquet` does."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file; {remedy}") from None
    except OSError as error:
        raise DeepChromeError(f"{path}: cannot be read ({error.strerror or error})") from None
    return check(content, str(path), remedy)


def schema(path: Path, remedy: str) -> pa.Schema:
    """Return the columns of a Parquet file. Raises DeepChromeError as `read_parquet` does."""
    try:
        return pq.read_schema(pa.BufferReader(open_parquet(path, remedy)))
    except (OSError, pa.ArrowException) as error:
        raise DeepChromeError(f"{path}: damaged or cut off: {error}; {remedy}") from None


def parse(
    content: pa.Buffer, source: str, remedy: str, columns: list[str] | None = None, **options: Any
) -> pa.Table:
    """Read a table from a Parquet file's checked content.

    columns: those wanted, all of which must be there. options: as of pyarrow.parquet.read_table.
    Raises DeepChromeError for what is no Parquet or lacks a column.
    """
    try:
        return pq.read_table(pa.BufferReader(content), columns=columns, **options)
    except (OSError, pa.ArrowException) as error:
        raise DeepChromeError(f"{source}: damaged or cut off: {error}; {remedy}") from None


def read_parquet(
    path: Path, remedy: str, columns: list[str] | None = None, **options: Any
) -> pa.Table:
    """Read a table from a Parquet file.

    remedy: what to do where it is missing or damaged. Raises DeepChromeError where it is missing,
    not as it was written, no Parquet, or lacks a column.
    """
    return parse(open_parquet(path, remedy), str(path), remedy, columns, **options)
