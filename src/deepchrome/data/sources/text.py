"""Text files as people write them: plain or gzip whatever their name, with or without a BOM."""

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deepchrome.errors import DeepChromeError

_GZIP = b"\x1f\x8b"

_OTHERS = {
    b"BZh": "packed with bzip2; unpack it, or pack it with gzip",
    b"\xfd7zXZ\x00": "packed with xz; unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it, or pack it with gzip",
    b"PK\x03\x04": "a zip archive (or an Excel workbook); unpack it, or save it as text",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
"""The first bytes of what people take for a text file, and what it is."""


def is_gzip(path: Path) -> bool:
    """Tell by its first bytes whether a file is gzip (or bgzip, which is gzip in blocks)."""
    with open(path, "rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def damaged_gzip(path: Path, error: Exception) -> DeepChromeError:
    """Return the error for a gzip file that cannot be read to its end."""
    return DeepChromeError(
        f"{path}: truncated or damaged gzip file ({error}); copy or download it again"
    )


@contextlib.contextmanager
def open_text(path: Path, expected: str) -> Iterator[io.TextIOWrapper]:
    """Open a UTF-8 text file for reading: gzip is unpacked, a byte order mark left out.

    expected: what the file should be, in messages, such as "a gene table". Raises DeepChromeError,
    also while the block reads, for a file that is missing, a folder, empty, packed otherwise,
    damaged, no UTF-8 or binary.
    """
    try:
        with open(path, "rb") as raw:
            start = raw.read(8)
            raw.seek(0)
            if not start:
                raise DeepChromeError(f"{path}: the file is empty; expected {expected}")
            for mark, what in _OTHERS.items():
                if start.startswith(mark):
                    raise DeepChromeError(f"{path}: {what}; expected {expected}")
            packed = start.startswith(_GZIP)
            data: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            with io.TextIOWrapper(data, encoding="utf-8-sig") as text:
                yield text
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file; expected {expected}") from None
    except IsADirectoryError:
        raise DeepChromeError(f"{path}: a folder; expected {expected}") from None
    except UnicodeDecodeError:
        raise DeepChromeError(f"{path}: not a text file (UTF-8); expected {expected}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged_gzip(path, error) from None
    except OSError as error:
        raise DeepChromeError(f"{path}: cannot be read ({error.strerror or error})") from None


def unquoted(cell: str) -> str:
    """Return a cell without the quotes that R puts around text."""
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
