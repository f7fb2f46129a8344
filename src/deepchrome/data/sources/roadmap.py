"""The published archive, Roadmap's reads and its expression table: downloaded, checked, unpacked.

Sources: Zenodo record 2652278 (signals and labels of 56 cell types) and the Roadmap Epigenomics
data portal (consolidated reads, and RPKM of 57 epigenomes).
"""

import functools
import gzip
import hashlib
import itertools
import json
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from deepchrome import MARKS, SPLITS, __version__, files
from deepchrome.data.reference import cell_types
from deepchrome.errors import DeepChromeError, listing, nearest

ARCHIVE_URL = "https://zenodo.org/record/2652278/files/data.tar.gz"
EXPRESSION_URL = (
    "https://egg2.wustl.edu/roadmap/data/byDataType/rna/expression/57epigenomes.RPKM.pc.gz"
)
EXPRESSION_CHECKSUM = "sha256:c3de00a53a7ef0b5f2529112f9e7fb33ec4e5f8012f8a633a279fe1a605fc843"
READS_URL = "https://egg2.wustl.edu/roadmap/data/byFileType/alignments/consolidated"
"""The folder of `<EID>-<mark>.tagAlign.gz`."""
EXPRESSION_NAME = "57epigenomes.RPKM.pc.gz"
RECORD_NAME = "sources.json"
"""Beside the data: where they came from, and the checksum of everything fetched."""

ATTEMPTS = 5
FIRST_WAIT = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = (10, 60)
"""Seconds to connect, and to wait for the next bytes."""
CHUNK = 2**16

GIB = 2**30
MAX_DOWNLOAD = 4 * GIB
MAX_EXPRESSION = GIB // 4
MAX_MEMBERS = 10_000
MAX_FILE = GIB
MAX_TOTAL = 16 * GIB
MAX_RATIO = 100
"""Unpacked bytes per packed byte; the published tables, mostly small counts, have about 5."""
SMALL = 2**26
"""Bytes that any archive may unpack to: one of a few kB is mostly padding, of any ratio."""
HEADERS = 2**20
"""Bytes allowed between the content of one member and that of the next, and after the last."""

_LAYOUT = "<EID>/classification/{train,valid,test}.csv"
_GZIP = b"\x1f\x8b"
_WANTED = re.compile(r"(?:.*/)?(E\d{3})/classification/(train|valid|test)\.csv", re.DOTALL)
_UNSAFE = re.compile(r"[/\\]|[A-Za-z]:|(?:.*[/\\])?\.\.(?:[/\\]|$)", re.DOTALL)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


class Source(BaseModel):
    """One downloaded file, as the record names it."""

    url: str
    bytes: int
    md5: str
    sha256: str


class Record(BaseModel):
    """What `sources.json` holds; `files` maps each file in the folder to its SHA-256."""

    archive: Source
    expression: Source
    files: dict[str, str]


class ReadsRecord(BaseModel):
    """What `sources.json` holds beside reads: where each file came from."""

    files: dict[str, Source]


@dataclass(frozen=True)
class _Remote:
    """One file to download."""

    name: str
    url: str
    option: str
    """The option that names a mirror, for messages."""
    checksum: str | None
    """`md5:...` or `sha256:...`; None where nothing is known yet."""
    known_from: str
    """Where the checksum comes from, for messages."""


class _TransferError(Exception):
    """A failed transfer that may succeed when tried again."""


def fetch(
    output: Path = Path("data/raw/roadmap"),
    *,
    url: str | None = None,
    expression_url: str | None = None,
    checksum: str | None = None,
    expression_checksum: str | None = None,
    force: bool = False,
    cache: Path = Path(".cache/downloads"),
) -> list[str]:
    """Download the published archive and the RPKM table into `output`, whole or not at all.

    A folder that is complete and unchanged since it was fetched is left as it is. A broken
    download continues where it stopped, in this run or the next; a finished one stays in `cache`
    until it is unpacked.

    Args:
        output: folder that will hold `<EID>/classification/{train,valid,test}.csv`, the RPKM
            table and `sources.json`. It may be new, empty or an earlier result of `fetch`.
        url: mirror of the archive. Default: Zenodo.
        expression_url: mirror of the RPKM table. Default: the Roadmap data portal.
        checksum: of the archive, `md5:...` or `sha256:...`. Default: what `sources.json` recorded
            on the first download; nothing before that.
        expression_checksum: of the RPKM table, likewise; known for the portal's.
        force: download again although the folder is complete.
        cache: folder for unfinished and not yet unpacked downloads.

    Returns:
        What was done and what deserves attention, a line each.

    Raises:
        DeepChromeError: the download, its content or the folder is not what it should be. What
            stood in `output` is untouched.

    """
    record = _read_record(output)
    archive = _remote("archive", url, "--url", checksum, ARCHIVE_URL, None, record)
    table = _remote(
        "expression",
        expression_url,
        "--expression-url",
        expression_checksum,
        EXPRESSION_URL,
        EXPRESSION_CHECKSUM,
        record,
    )
    notes = []
    if record and not force and _matches(archive, record) and _matches(table, record):
        changed = _changed(output, record)
        if not changed:
            return [f"{output}: all {len(record.files)} files are as fetched; nothing to do"]
        notes.append(f"{output}: missing or changed, fetched again: {listing(changed)}")
    try:
        with _progress() as progress:
            # The small table first: what is wrong with it shows before the long download
            table_file = _retrieve(table, cache, progress, force)
            with _refused_leaves_cache(table_file):
                with_expression = _check_expression(table_file, table)
            archive_file = _retrieve(archive, cache, progress, force)
            with files.replacing(output) as [folder], _refused_leaves_cache(archive_file):
                folder.mkdir()
                digests = _unpack(archive_file, archive, folder, progress)
                cells = _check_layout(digests, archive)
                record = Record(
                    archive=_source(archive, archive_file),
                    expression=_source(table, table_file),
                    files=digests | {EXPRESSION_NAME: pooch.file_hash(table_file)},
                )
                shutil.copyfile(table_file, folder / EXPRESSION_NAME)
                files.write_json(folder / RECORD_NAME, record.model_dump())
    except OSError as error:
        raise DeepChromeError(
            f"cannot read or write {error.filename or output}: {error.strerror or error}. What was"
            f" downloaded is kept in {cache}: put the cause right and run the command again"
        ) from error
    archive_file.unlink()
    table_file.unlink()

    notes.append(f"{output}: {len(cells)} cell types, {len(digests)} tables, and their expression")
    notes += [
        f"no checksum was known for {remote.url}; its SHA-256 is now in {output / RECORD_NAME}"
        for remote in (archive, table)
        if not remote.checksum
    ]
    for missing, what in (
        (set(cell_types().index) - set(cells), "not in the archive, of Roadmap's 56 cell types"),
        (set(cells) - with_expression, "without a column in the RPKM table"),
    ):
        if missing:
            notes.append(f"{what}: {listing(sorted(missing))}")
    return notes


def fetch_reads(
    cells: list[str],
    marks: list[str],
    output: Path = Path("data/raw/roadmap-reads"),
    *,
    url: str | None = None,
    expression_url: str | None = None,
    force: bool = False,
    cache: Path = Path(".cache/downloads"),
) -> list[str]:
    """Download Roadmap's consolidated reads of some cell types and marks, and the RPKM table.

    `output` gets `<EID>-<mark>.tagAlign.gz`, each file whole or not at all, and `sources.json`.
    Files that are there, as they were fetched, are left as they are, so that cell types can be
    added; a broken download goes on where it stopped.

    Args:
        cells: EIDs of Roadmap's 56 cell types.
        marks: of the five.
        output: the folder; new, empty or an earlier result of `fetch_reads`.
        url: mirror of the folder of reads. Default: the Roadmap data portal.
        expression_url: mirror of the RPKM table. Default: likewise.
        force: download again what is there.
        cache: folder for unfinished downloads.

    Returns:
        What was done and what deserves attention, a line each.

    Raises:
        DeepChromeError: an unknown cell type or mark, a failed download, or content that is no
            tagAlign. Files fetched before it stay.

    """
    for asked, option, known in (
        (cells, "--cells", list(cell_types().index)),
        (marks, "--marks", list(MARKS)),
    ):
        for name in asked:
            if name not in known:
                raise DeepChromeError(
                    f"{option}: found {name!r}{nearest(name, known)} Expected of {listing(known)}"
                )
    url = (url or READS_URL).rstrip("/")
    if not re.match(r"https?://[^/\s]+", url):
        raise DeepChromeError(f"--url {url!r}: expected an address like {READS_URL}")
    record = _read_reads_record(output)
    wanted = [
        _Remote(f"{cell}-{mark}", f"{url}/{cell}-{mark}.tagAlign.gz", "--url", None, "")
        for cell in dict.fromkeys(cells)
        for mark in dict.fromkeys(marks)
    ]
    table = _remote(
        "expression",
        expression_url,
        "--expression-url",
        None,
        EXPRESSION_URL,
        EXPRESSION_CHECKSUM,
        None,
    )
    fetched = 0
    try:
        with _progress() as progress:
            for remote in (table, *wanted):
                name = EXPRESSION_NAME if remote is table else f"{remote.name}.tagAlign.gz"
                if not force and _as_recorded(output / name, record.files.get(name)):
                    continue
                file = _retrieve(remote, cache, progress, force)
                with _refused_leaves_cache(file):
                    if remote is table:
                        _check_expression(file, remote)
                    else:
                        _check_reads(file, remote)
                record.files[name] = _source(remote, file)
                with files.replacing(output / name) as (new,):
                    shutil.copyfile(file, new)
                files.write_json(output / RECORD_NAME, record.model_dump())
                file.unlink()
                fetched += 1
    except OSError as error:
        raise DeepChromeError(
            f"cannot read or write {error.filename or output}: {error.strerror or error}. What was"
            f" downloaded is kept in {cache}: put the cause right and run the command again"
        ) from error
    there = {name.split(".")[0] for name in record.files if name != EXPRESSION_NAME}
    notes = [f"{output}: {fetched} files fetched, {len(there)} files of reads in all"]
    for cell in sorted({name.split("-")[0] for name in there}):
        missing = [mark for mark in MARKS if f"{cell}-{mark}" not in there]
        if missing:
            notes.append(f"{cell} lacks {listing(missing)}: 'ingest' needs all five marks")
    return notes


def _read_reads_record(output: Path) -> ReadsRecord:
    """Read `sources.json` beside reads; refuse a folder that holds anything else."""
    if not output.exists():
        return ReadsRecord(files={})
    if not output.is_dir():
        raise DeepChromeError(f"{output}: expected a folder, found a file")
    path = output / RECORD_NAME
    if not path.is_file():
        if any(output.iterdir()):
            raise DeepChromeError(
                f"{output} holds what fetch did not put there; name a new or empty folder"
            )
        return ReadsRecord(files={})
    try:
        return ReadsRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DeepChromeError(
            f"{path}: not a record of fetched reads ({error.errors()[0]['msg']});"
            " name another folder"
        ) from error


def _as_recorded(path: Path, source: Source | None) -> bool:
    return source is not None and path.is_file() and pooch.file_hash(path) == source.sha256


def _check_reads(path: Path, remote: _Remote) -> None:
    """Check that a file of reads unpacks and starts as a tagAlign does."""
    with _readable(remote, "a gzip file"), gzip.open(path) as unpacked:
        start = unpacked.read(CHUNK)
        while unpacked.read(CHUNK * 16):
            pass
    fields = start.partition(b"\n")[0].decode("utf-8", "replace").split("\t")
    if len(fields) < 6 or not fields[1].isdigit() or not fields[2].isdigit():
        raise DeepChromeError(
            f"{remote.url}: expected a tagAlign, lines such as"
            f" 'chr1<tab>10000<tab>10036<tab>N<tab>1000<tab>+', found"
            f" {' '.join(fields)[:60]!r}. Name a mirror with {remote.option}"
        )


# What is known before anything is downloaded


def _remote(
    name: str,
    url: str | None,
    option: str,
    checksum: str | None,
    default_url: str,
    default_checksum: str | None,
    record: Record | None,
) -> _Remote:
    """Settle where a file comes from and which content is expected."""
    url = url or default_url
    if not re.match(r"https?://[^/\s]+/\S", url):
        raise DeepChromeError(f"{option} {url!r}: expected an address like {default_url}")
    if checksum:
        found = re.fullmatch(r"(?:md5:)?[0-9a-f]{32}|(?:sha256:)?[0-9a-f]{64}", checksum.lower())
        if not found:
            raise DeepChromeError(
                f"checksum {checksum!r}: expected md5: and 32, or sha256: and 64 hexadecimal digits"
            )
        digits = found[0].split(":")[-1]
        known = f"{'md5' if len(digits) == 32 else 'sha256'}:{digits}"
        return _Remote(name, url, option, known, "the checksum given")
    if record:
        earlier: Source = getattr(record, name)
        known = f"sha256:{earlier.sha256}"
        return _Remote(name, url, option, known, f"{RECORD_NAME}, for {earlier.url}")
    if url == default_url and default_checksum:
        return _Remote(name, url, option, default_checksum, "deepchrome")
    return _Remote(name, url, option, None, "")


def _read_record(output: Path) -> Record | None:
    """Read `sources.json`; refuse a folder with anything `fetch` did not put there.

    The folder is replaced as a whole, so this is what protects other data.
    """
    if not output.exists():
        return None
    if not output.is_dir():
        raise DeepChromeError(f"{output}: expected a folder, found a file")
    names = sorted(path.name for path in output.iterdir())
    if not names:
        return None
    path = output / RECORD_NAME
    ours = re.compile(rf"E\d{{3}}|{re.escape(EXPRESSION_NAME)}|{re.escape(RECORD_NAME)}")
    others = [name for name in names if not ours.fullmatch(name)]
    if others or not path.is_file():
        raise DeepChromeError(
            f"{output} would be replaced, and holds what fetch did not put there:"
            f" {listing(others or names)}. Name a new or empty folder, or move these away"
        )
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DeepChromeError(
            f"{path}: not a record that fetch wrote ({error.errors()[0]['msg']});"
            f" remove {output} to fetch it anew"
        ) from error


def _matches(remote: _Remote, record: Record) -> bool:
    """Tell whether the record holds what is asked for now."""
    earlier: Source = getattr(record, remote.name)
    recorded = {f"md5:{earlier.md5}", f"sha256:{earlier.sha256}"}
    return remote.url == earlier.url and remote.checksum in recorded


def _changed(output: Path, record: Record) -> list[str]:
    """Name the files that are missing from the folder, or other than recorded."""
    return [
        name
        for name, sha256 in record.files.items()
        if not (output / name).is_file() or pooch.file_hash(output / name) != sha256
    ]


# Download


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show bars with bytes, rate and time left on standard error."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, markup=False, highlight=False),
    ) as progress:
        yield progress


@contextmanager
def _refused_leaves_cache(path: Path) -> Iterator[None]:
    """Remove a download whose content was refused, or the next run would meet it again."""
    try:
        yield
    except DeepChromeError:
        path.unlink()
        raise


def _source(remote: _Remote, path: Path) -> Source:
    return Source(
        url=remote.url,
        bytes=path.stat().st_size,
        md5=pooch.file_hash(path, alg="md5"),
        sha256=pooch.file_hash(path),
    )


def _retrieve(remote: _Remote, cache: Path, progress: Progress, force: bool) -> Path:
    """Return the downloaded file in the cache; download it unless it is there already."""
    path = cache / f"{hashlib.sha256(remote.url.encode()).hexdigest()[:12]}-{remote.name}.gz"
    if force:
        path.unlink(missing_ok=True)
    pooch.get_logger().setLevel("WARNING")  # the bar says what its log would
    downloader = functools.partial(
        _download, remote=remote, part=path.with_suffix(".part"), progress=progress
    )
    try:
        pooch.retrieve(
            remote.url, remote.checksum, fname=path.name, path=cache, downloader=downloader
        )
    except ValueError as error:
        raise DeepChromeError(
            f"{remote.url}: not the content expected by {remote.known_from}."
            f" {str(error).split(' Deleted')[0]} The download was deleted. If the new content is"
            " right, give its checksum; if not, run the command again, or name a mirror with"
            f" {remote.option}"
        ) from error
    return path


def _download(
    url: str, output_file: str, _pooch: object, *, remote: _Remote, part: Path, progress: Progress
) -> None:
    """Download with resume and retries; pooch calls it and checks the hash of what it wrote."""
    task = progress.add_task(remote.name, total=None)
    fault = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            wait = FIRST_WAIT * 2 ** (attempt - 1)
            progress.console.print(f"{url}: {fault}; trying again in {wait:.0f} s", soft_wrap=True)
            time.sleep(wait)
        try:
            _transfer(remote, part, progress, task)
        except (
            _TransferError,
            requests.ConnectionError,
            requests.Timeout,
            urllib3.exceptions.HTTPError,
        ) as error:
            fault = _reason(error)
        except requests.RequestException as error:
            raise DeepChromeError(f"{url}: {error}; name a mirror with {remote.option}") from error
        else:
            part.replace(output_file)
            _discard(part)
            return
    have, expected = _kept(part)
    size = f"{expected['bytes']:,}" if expected.get("bytes") else "an unknown number of"
    kept = f" {have:,} of {size} bytes arrived and are kept in {part.parent}." if have else ""
    raise DeepChromeError(
        f"{url}: the download failed {ATTEMPTS} times, at last with: {fault}.{kept}"
        f" Run the command again to go on, or name a mirror with {remote.option}"
    )


def _reason(error: Exception) -> str:
    """Return the innermost message; requests and urllib3 wrap theirs in several others."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or inner)


def _transfer(remote: _Remote, part: Path, progress: Progress, task: TaskID) -> None:
    """Make one request, for all of the file or for what is missing of it, and append to `part`."""
    have, expected = _kept(part)
    if have and have == expected["bytes"]:  # an earlier run ended just before the last step
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": f"deepchrome/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if expected["etag"] and not expected["etag"].startswith("W/"):
            headers["If-Range"] = expected["etag"]
    with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        status = response.status_code
        if have and status in (206, 416) and not _continues(response, have, expected):
            _discard(part)
            raise _TransferError("the file changed on the server since its first part arrived")
        if status == 429 or status >= 500:
            raise _TransferError(f"HTTP {status} {response.reason}")
        if status != 200 and not (have and status == 206):
            raise DeepChromeError(
                f"{remote.url}: found HTTP {status} {response.reason}, expected the file."
                f" Open the address in a browser; name a mirror with {remote.option}"
            )
        # `raw`, because requests would unpack a .gz that is sent with Content-Encoding: gzip
        chunks = response.raw.stream(CHUNK, decode_content=False)
        first = next(chunks, b"")
        if status == 200:
            have = 0
            _check_gzip(first, response, remote)  # before it overwrites an earlier part
            length = response.headers.get("Content-Length", "")
            expected = {
                "bytes": int(length) if length.isdecimal() else None,
                "etag": response.headers.get("ETag"),
            }
            _discard(part)
            files.write_json(_state(part), expected)
        progress.reset(task, total=expected["bytes"], completed=have)
        with part.open("ab") as file:
            for chunk in itertools.chain([first], chunks):
                have += file.write(chunk)
                progress.update(task, completed=have)
                if have > MAX_DOWNLOAD:
                    _discard(part)
                    raise DeepChromeError(
                        f"{remote.url}: more than {MAX_DOWNLOAD / GIB:.0f} GiB, the bound on a"
                        f" download; name a mirror with {remote.option}"
                    )
    if expected["bytes"] not in (None, have):
        raise _TransferError(f"the connection ended after {have:,} of {expected['bytes']:,} bytes")


def _check_gzip(start: bytes, response: requests.Response, remote: _Remote) -> None:
    if start and _GZIP.startswith(start[:2]):
        return
    found = f"it starts with {start[:60]!r}" if start else "it is empty"
    if start.lstrip().startswith(b"<"):
        found = f"it is a web page, {found}"
    at = "" if response.url == remote.url else f", redirected to {response.url}"
    kind = response.headers.get("Content-Type", "none")
    raise DeepChromeError(
        f"{remote.url}{at}: expected a gzip file, found that {found} (Content-Type {kind!r})."
        f" Open the address in a browser; name a mirror with {remote.option}"
    )


def _continues(response: requests.Response, have: int, expected: dict[str, Any]) -> bool:
    """Tell whether a partial answer starts where `have` bytes end, in the same file."""
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or not given or int(given[1]) != have:
        return False
    size, etag = expected["bytes"], response.headers.get("ETag")
    same_size = size is None or given[2] in ("*", str(size))
    return same_size and (not etag or not expected["etag"] or etag == expected["etag"])


def _state(part: Path) -> Path:
    """Return the file beside a partial download that says which file it is a part of."""
    return part.with_name(part.name + ".json")


def _kept(part: Path) -> tuple[int, dict[str, Any]]:
    """Return the bytes of a partial download, and the size and ETag of the whole."""
    try:
        expected = json.loads(_state(part).read_text(encoding="utf-8"))
        return part.stat().st_size, {"bytes": expected["bytes"], "etag": expected["etag"]}
    except (OSError, ValueError, KeyError, TypeError):  # none yet, or not to be continued
        return 0, {}


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)


# Content


class _Bounded:
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


@contextmanager
def _readable(remote: _Remote, what: str) -> Iterator[None]:
    """Turn what gzip and tarfile raise on broken content into one message."""
    try:
        yield
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise DeepChromeError(
            f"{remote.url}: expected {what}, found a broken one: {error}. The download was deleted;"
            f" run the command again, or name a mirror with {remote.option}"
        ) from error


def _check_expression(path: Path, remote: _Remote) -> set[str]:
    """Check that the RPKM table unpacks and starts as it should; return its cell types."""
    with _readable(remote, "a gzip file"), gzip.open(path) as unpacked:
        stream = _Bounded(unpacked, remote.url, MAX_EXPRESSION, f"{MAX_EXPRESSION:,} bytes")
        start = stream.read(CHUNK)
        stream.drain()
    header = start.partition(b"\n")[0].decode("utf-8", "replace").split("\t")
    if header[0] != "gene_id" or len(header) < 2:
        raise DeepChromeError(
            f"{remote.url}: expected the RPKM table, whose first line is"
            f" 'gene_id<tab>E000<tab>E003...', found {' '.join(header)[:60]!r}."
            f" Name a mirror with {remote.option}"
        )
    return set(header[1:])


def _unpack(path: Path, remote: _Remote, folder: Path, progress: Progress) -> dict[str, str]:
    """Write the archive's tables to `folder/<EID>/classification/`; return their SHA-256.

    A member's name never becomes a path: it is matched, and the path is made from cell type and
    split. A member that a well-meant archive has no reason to hold is refused all the same.
    """
    packed = path.stat().st_size
    total = min(MAX_TOTAL, max(MAX_RATIO * packed, SMALL))
    bound = (
        f"{total:,} bytes, the bound for a download of {packed:,} bytes ({MAX_RATIO} times as much,"
        f" but at least {SMALL:,} and at most {MAX_TOTAL:,} bytes)"
    )
    digests: dict[str, str] = {}
    with (
        _readable(remote, "a tar.gz archive"),
        progress.open(path, "rb", description="unpacking") as file,
        gzip.open(file) as unpacked,
    ):
        stream = _Bounded(unpacked, remote.url, total, bound)
        stream.expect(0)
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar, 1):
                if count > MAX_MEMBERS:
                    raise DeepChromeError(
                        f"{remote.url}: refused, more than {MAX_MEMBERS:,} members"
                    )
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
    return dict(sorted(digests.items()))


def _check_member(member: tarfile.TarInfo, remote: _Remote) -> None:
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
            f" {_LAYOUT}. Nothing was kept; name a mirror with {remote.option}"
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


def _check_layout(digests: dict[str, str], remote: _Remote) -> list[str]:
    """Return the cell types; each must have all three tables, and none of them empty."""
    empty = hashlib.sha256().hexdigest()
    cells = sorted({name.split("/")[0] for name in digests})
    faults = [] if cells else ["no such file at all"]
    for cell in cells:
        tables = {split: digests.get(f"{cell}/classification/{split}.csv") for split in SPLITS}
        missing = [f"{split}.csv" for split, sha256 in tables.items() if sha256 in (None, empty)]
        if missing:
            faults.append(f"{cell} lacks {' and '.join(missing)}")
    if faults:
        raise DeepChromeError(
            f"{remote.url}: expected {_LAYOUT} for each cell type, none of them empty;"
            f" found: {listing(faults)}. Nothing was kept; name a mirror with {remote.option}"
        )
    return cells
