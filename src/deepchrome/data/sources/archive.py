"""The published archive unpacked: its tables and nothing else, within bounds that a bomb breaks."""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepchrome.data.sources.download import CHUNK, GIB, Observer, Remote
from deepchrome.data.sources.names import EID
from deepchrome.errors import DeepChromeError

LAYOUT = "<EID>/classification/{train,valid,test}.csv"

MAX_MEMBERS = 10_000
MAX_FILE = GIB
MAX_TOTAL = 16 * GIB
MAX_RATIO = 100
"""Unpacked bytes per packed byte; the published tables, mostly small counts, have about 5."""
SMALL = 2**26
"""Bytes that any archive may unpack to: one of a few kB is mostly padding, of any ratio."""
HEADERS = 2**20
"""Bytes allowed between the content of one member and that of the next, and after the last."""

_WANTED = re.compile(rf"(?:.*/)?({EID})/classification/(train|valid|test)\.csv", re.DOTALL)
_UNSAFE = re.compile(r"[/\\]|[A-Za-z]:|(?:.*[/\\])?\.\.(?:[/\\]|$)", re.DOTALL)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


class BoundedStream:
    """A gzip stream that ends in an error instead of filling disk or memory."""

    def __init__(self, file: gzip.GzipFile, url: str, total: int, bound: str) -> None:
        self._file, self._url, self._total, self._bound = file, url, total, bound
        self._position = 0
        self._limit = total

    def read(self, size: int) -> bytes:
        """Read like a file; raise past the total, or past what `expect` allowed."""
        data = self._file.read(size)
        self._position += len(data)
        if self._position > self._limit:
            bound = f"{HEADERS:,} bytes that belong to none of its files"
            bound = self._bound if self._limit == self._total else bound
            raise DeepChromeError(f"{self._url}: refused, it unpacks to more than {bound}")
        return data

    def expect(self, size: int) -> None:
        """Allow `size` bytes of content and some of headers from here on, within the total."""
        if self._position + size > self._total:
            raise DeepChromeError(f"{self._url}: refused, it unpacks to more than {self._bound}")
        self._limit = min(self._total, self._position + size + HEADERS)

    def drain(self) -> None:
        """Read to the end, where the checksum of a gzip file stands and is verified."""
        while self.read(CHUNK):
            pass


def bounded(unpacked: gzip.GzipFile, remote: Remote, packed: int) -> BoundedStream:
    """Return a stream within what a download of `packed` bytes may unpack to."""
    total = min(MAX_TOTAL, max(MAX_RATIO * packed, SMALL))
    bound = (
        f"{total:,} bytes, the bound for a download of {packed:,} bytes ({MAX_RATIO} times as much,"
        f" but at least {SMALL:,} and at most {MAX_TOTAL:,} bytes)"
    )
    return BoundedStream(unpacked, remote.url, total, bound)


@contextmanager
def readable(remote: Remote, what: str) -> Iterator[None]:
    """Turn what gzip and tarfile raise on broken content into one message."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise DeepChromeError(
            f"{remote.url}: expected {what}, found a broken one: {error}. The download was deleted;"
            f" run the command again, or name a mirror with {remote.option}"
        ) from error


def unpack(path: Path, remote: Remote, folder: Path, observer: Observer) -> dict[str, str]:
    """Write the archive's tables to `folder/<EID>/classification/`; return their SHA-256.

    A member's name never becomes a path: it is matched, and the path is made from cell type and
    split. A member that a well-meant archive has no reason to hold is refused all the same.
    Raises DeepChromeError for such a member, a broken archive and one that unpacks to too much.
    """
    packed = path.stat().st_size
    digests: dict[str, str] = {}
    observer.start("unpacking", packed, 0)
    with (
        readable(remote, "a tar.gz archive"),
        path.open("rb") as file,
        gzip.open(file) as unpacked,
    ):
        stream = bounded(unpacked, remote, packed)
        stream.expect(0)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar, 1):
                if count > MAX_MEMBERS:
                    raise DeepChromeError(
                        f"{remote.url}: refused, more than {MAX_MEMBERS:,} members"
                    )
                observer.advance("unpacking", file.tell())
                _check_member(member, remote)
                stream.expect(member.size)
                wanted = _WANTED.fullmatch(member.name)
                if wanted and member.isreg():
                    cell, split = wanted.groups()
                    name = f"{cell}/classification/{split}.csv"
                    if name in digests:
                        raise DeepChromeError(
                            f"{remote.url}: {name} is in the archive twice, the second time as"
                            f" {member.name!r}; expected it once"
                        )
                    digests[name] = _write_member(tar, member, folder / name)
        stream.expect(0)
        stream.drain()
        observer.advance("unpacking", packed)
    return dict(sorted(digests.items()))


def _check_member(member: tarfile.TarInfo, remote: Remote) -> None:
    """Refuse a member that could write elsewhere, is no plain file or folder, or is too large."""
    found = ""
    if _UNSAFE.match(member.name):
        found = "a path that leads out of the folder"
    elif member.issparse() or not (member.isreg() or member.isdir()):
        found = _KINDS.get(member.type, "neither a plain file nor a folder")
    elif not 0 <= member.size <= MAX_FILE:
        found = f"{member.size:,} bytes, more than {MAX_FILE / GIB:.0f} GiB"
    if found:
        raise DeepChromeError(
            f"{remote.url}: refused, member {member.name[:200]!r} is {found}; expected plain files"
            f" {LAYOUT}. Nothing was kept; name a mirror with {remote.option}"
        )


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    source = tar.extractfile(member)
    assert source is not None  # a regular file
    with target.open("xb") as file:
        while data := source.read(CHUNK):
            digest.update(data)
            file.write(data)
    return digest.hexdigest()
