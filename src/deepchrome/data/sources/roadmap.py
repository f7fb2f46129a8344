"""The published archive, Roadmap's reads and its expression table: downloaded, checked, unpacked.

Sources: Zenodo record 2652278 (signals and labels of 56 cell types) and the Roadmap Epigenomics
data portal (consolidated reads, and RPKM of 57 epigenomes).
"""

import glob
import gzip
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pooch
from pydantic import BaseModel, ValidationError

from deepchrome import MARKS, SPLITS, files
from deepchrome.data.reference import cell_types
from deepchrome.data.sources.archive import LAYOUT, BoundedStream, bounded, readable, unpack
from deepchrome.data.sources.download import (
    CHUNK,
    GIB,
    UNOBSERVED,
    Observer,
    Remote,
    Source,
    expected,
    retrieve,
)
from deepchrome.data.sources.expression import FILE_NAME
from deepchrome.errors import DeepChromeError, listing, nearest

ARCHIVE_URL = "https://zenodo.org/record/2652278/files/data.tar.gz"
EXPRESSION_URL = f"https://egg2.wustl.edu/roadmap/data/byDataType/rna/expression/{FILE_NAME}"
EXPRESSION_CHECKSUM = "sha256:c3de00a53a7ef0b5f2529112f9e7fb33ec4e5f8012f8a633a279fe1a605fc843"
READS_URL = "https://egg2.wustl.edu/roadmap/data/byFileType/alignments/consolidated"
"""The folder of `<EID>-<mark>.tagAlign.gz`."""
RECORD_NAME = "sources.json"
"""Beside the data: where they came from, and the checksum of everything fetched."""

MAX_EXPRESSION = GIB // 4


class Record(BaseModel):
    """What `sources.json` holds; `files` maps each file in the folder to its SHA-256."""

    archive: Source
    expression: Source
    files: dict[str, str]


class ReadsRecord(BaseModel):
    """What `sources.json` holds beside reads: where each file came from."""

    files: dict[str, Source]


def fetch(
    output: Path = Path("data/raw/roadmap"),
    observer: Observer = UNOBSERVED,
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
        observer: is told how downloads go.
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
    written = files.Folder(output, "fetch", _earlier_files(record))
    files.refuse(written)
    archive = expected(
        "archive",
        url,
        "--url",
        default_url=ARCHIVE_URL,
        checksum=checksum,
        recorded=record.archive if record else None,
        record=RECORD_NAME,
    )
    table = expected(
        "expression",
        expression_url,
        "--expression-url",
        default_url=EXPRESSION_URL,
        checksum=expression_checksum,
        default_checksum=EXPRESSION_CHECKSUM,
        recorded=record.expression if record else None,
        record=RECORD_NAME,
    )
    notes = []
    as_asked = record and record.archive.holds(archive) and record.expression.holds(table)
    if record and as_asked and not force:
        changed = _changed(output, record)
        if not changed:
            return [f"{output}: all {len(record.files)} files are as fetched; nothing to do"]
        notes.append(f"{output}: missing or changed, fetched again: {listing(changed)}")
    with files.replacing(written) as [folder], _broken_off(output, cache):
        # The small table first: what is wrong with it shows before the long download
        table_file = retrieve(table, cache, observer, force)
        with _refused_leaves_cache(table_file):
            with_expression = _check_expression(table_file, table)
        archive_file = retrieve(archive, cache, observer, force)
        with _refused_leaves_cache(archive_file):
            folder.mkdir()
            digests = unpack(archive_file, archive, folder, observer)
            cells = _check_layout(digests, archive)
            record = Record(
                archive=Source.of(archive, archive_file),
                expression=Source.of(table, table_file),
                files=digests | {FILE_NAME: pooch.file_hash(table_file)},
            )
            shutil.copyfile(table_file, folder / FILE_NAME)
            files.write_json(folder / RECORD_NAME, record.model_dump())
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
    observer: Observer = UNOBSERVED,
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
        observer: is told how downloads go.
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
                like = nearest(name, known) or "."
                raise DeepChromeError(
                    f"{option}: found {name!r}{like} Expected of {listing(known)}"
                )
    url = (url or READS_URL).rstrip("/")
    if not re.match(r"https?://[^/\s]+", url):
        raise DeepChromeError(f"--url {url!r}: expected an address like {READS_URL}")
    record = _read_reads_record(output)
    wanted = [
        Remote(f"{cell}-{mark}", f"{url}/{cell}-{mark}.tagAlign.gz", "--url", None, "")
        for cell in dict.fromkeys(cells)
        for mark in dict.fromkeys(marks)
    ]
    table = expected(
        "expression",
        expression_url,
        "--expression-url",
        default_url=EXPRESSION_URL,
        default_checksum=EXPRESSION_CHECKSUM,
    )
    names = {
        remote: FILE_NAME if remote is table else f"{remote.name}.tagAlign.gz"
        for remote in (table, *wanted)
    }
    for name in names.values():
        files.refuse(output / name)
        if name not in record.files and (output / name).exists():
            raise DeepChromeError(
                f"{output / name}: found a file that fetch did not put there and would replace; "
                "move it away, or name another folder"
            )
    fetched = 0
    with _broken_off(output, cache), files.only_writer(output):
        record = _read_reads_record(output)  # another run may have added to it
        for remote, name in names.items():
            earlier = record.files.get(name)
            if earlier and earlier.is_at(output / name) and not force:
                continue
            file = retrieve(remote, cache, observer, force)
            with _refused_leaves_cache(file):
                if remote is table:
                    _check_expression(file, remote)
                else:
                    _check_reads(file, remote)
            record.files[name] = Source.of(remote, file)
            with files.replacing(output / name, output / RECORD_NAME) as (new, new_record):
                shutil.copyfile(file, new)
                files.write_json(new_record, record.model_dump())
            file.unlink()
            fetched += 1
    there = {name.split(".")[0] for name in record.files if name != FILE_NAME}
    notes = [f"{output}: {fetched} files fetched, {len(there)} files of reads in all"]
    for cell in sorted({name.split("-")[0] for name in there}):
        missing = [mark for mark in MARKS if f"{cell}-{mark}" not in there]
        if missing:
            notes.append(f"{cell} lacks {listing(missing)}: 'ingest' needs all five marks")
    return notes


def _read_record(output: Path) -> Record | None:
    """Read `sources.json`, if it is there."""
    path = output / RECORD_NAME
    if not path.is_file():
        return None
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DeepChromeError(
            f"{path}: not a record that fetch wrote ({error.errors()[0]['msg']});"
            f" remove {output} to fetch it anew"
        ) from error


def _earlier_files(record: Record | None) -> list[str]:
    """Name all that `fetch` put into the folder, which it replaces as a whole."""
    return [RECORD_NAME, *map(glob.escape, record.files)] if record else []


def _read_reads_record(output: Path) -> ReadsRecord:
    """Read `sources.json` beside reads; refuse a folder that something else filled."""
    path = output / RECORD_NAME
    if not path.is_file():
        files.refuse(files.Folder(output, "fetch", []))
        return ReadsRecord(files={})
    try:
        return ReadsRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DeepChromeError(
            f"{path}: not a record of fetched reads ({error.errors()[0]['msg']});"
            " name another folder"
        ) from error


def _changed(output: Path, record: Record) -> list[str]:
    """Name the files that are missing from the folder, or other than recorded."""
    return [
        name
        for name, sha256 in record.files.items()
        if not (output / name).is_file() or pooch.file_hash(output / name) != sha256
    ]


@contextmanager
def _broken_off(output: Path, cache: Path) -> Iterator[None]:
    """Say what is left when a file cannot be read or written."""
    try:
        yield
    except OSError as error:
        raise DeepChromeError(
            f"cannot read or write {error.filename or output}: {error.strerror or error}. What was"
            f" downloaded is kept in {cache}: put the cause right and run the command again"
        ) from error


@contextmanager
def _refused_leaves_cache(path: Path) -> Iterator[None]:
    """Remove a download whose content was refused, or the next run would meet it again."""
    try:
        yield
    except DeepChromeError:
        path.unlink()
        raise


# Content


def _check_reads(path: Path, remote: Remote) -> None:
    """Check that a file of reads unpacks and starts as a tagAlign does."""
    with readable(remote, "a gzip file"), gzip.open(path) as unpacked:
        stream = bounded(unpacked, remote, path.stat().st_size)
        start = stream.read(CHUNK)
        stream.drain()
    fields = start.partition(b"\n")[0].decode("utf-8", "replace").split("\t")
    if len(fields) < 6 or not fields[1].isdigit() or not fields[2].isdigit():
        raise DeepChromeError(
            f"{remote.url}: expected a tagAlign, lines such as"
            f" 'chr1<tab>10000<tab>10036<tab>N<tab>1000<tab>+', found"
            f" {' '.join(fields)[:60]!r}. Name a mirror with {remote.option}"
        )


def _check_expression(path: Path, remote: Remote) -> set[str]:
    """Check that the RPKM table unpacks and starts as it should; return its cell types."""
    with readable(remote, "a gzip file"), gzip.open(path) as unpacked:
        stream = BoundedStream(unpacked, remote.url, MAX_EXPRESSION, f"{MAX_EXPRESSION:,} bytes")
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


def _check_layout(digests: dict[str, str], remote: Remote) -> list[str]:
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
            f"{remote.url}: expected {LAYOUT} for each cell type, none of them empty;"
            f" found: {listing(faults)}. Nothing was kept; name a mirror with {remote.option}"
        )
    return cells
