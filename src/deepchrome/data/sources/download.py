"""Download: from a URL to a whole and verified file; broken downloads go on where they stopped."""

import functools
import hashlib
import itertools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
import urllib3
from pydantic import BaseModel

from deepchrome import __version__, files
from deepchrome.errors import DeepChromeError
from deepchrome.files import read_json

ATTEMPTS = 5
FIRST_WAIT = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = (10, 60)
"""Seconds to connect, and to wait for the next bytes."""
CHUNK = 2**16
GIB = 2**30
MAX_DOWNLOAD = 4 * GIB

_GZIP = b"\x1f\x8b"


class Observer:
    """Is told how downloads go, and does nothing about it; who shows them overrides this."""

    def start(self, name: str, total: int | None, done: int) -> None:
        """Begin, or begin again, with `done` of `total` bytes; None: not known."""

    def advance(self, name: str, done: int) -> None:
        """Have `done` bytes."""

    def say(self, message: str) -> None:
        """Tell what a person should know while it goes on."""


UNOBSERVED = Observer()


@dataclass(frozen=True)
class Remote:
    """One file to download."""

    name: str
    url: str
    option: str
    """The option that names a mirror, for messages."""
    checksum: str | None
    """`md5:...` or `sha256:...`; None where nothing is known yet."""
    known_from: str
    """Where the checksum comes from, for messages."""


class Source(BaseModel):
    """One downloaded file, as a record of downloads names it."""

    url: str
    bytes: int
    md5: str
    sha256: str

    @classmethod
    def of(cls, remote: Remote, path: Path) -> "Source":
        """Describe what was downloaded to `path`."""
        return cls(
            url=remote.url,
            bytes=path.stat().st_size,
            md5=pooch.file_hash(path, alg="md5"),
            sha256=pooch.file_hash(path),
        )

    def holds(self, remote: Remote) -> bool:
        """Tell whether this is the content and the address that are asked for now."""
        known = {f"md5:{self.md5}", f"sha256:{self.sha256}"}
        return remote.url == self.url and remote.checksum in known

    def is_at(self, path: Path) -> bool:
        """Tell whether a file is there, as it was downloaded."""
        return path.is_file() and pooch.file_hash(path) == self.sha256


class _TransferError(Exception):
    """A failed transfer that may succeed when tried again."""


def expected(
    name: str,
    url: str | None,
    option: str,
    *,
    default_url: str,
    checksum: str | None = None,
    default_checksum: str | None = None,
    recorded: Source | None = None,
    record: str = "",
) -> Remote:
    """Settle where a file comes from and which content it must have.

    The checksum given counts first, then that of `recorded`, an earlier download which the file
    `record` names, then `default_checksum`, which is of what lies at `default_url`.
    Raises DeepChromeError for an address or a checksum that is none.
    """
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
        return Remote(name, url, option, known, "the checksum given")
    if recorded:
        known = f"sha256:{recorded.sha256}"
        return Remote(name, url, option, known, f"{record}, for {recorded.url}")
    if url == default_url and default_checksum:
        return Remote(name, url, option, default_checksum, "deepchrome")
    return Remote(name, url, option, None, "")


def retrieve(remote: Remote, cache: Path, observer: Observer, force: bool) -> Path:
    """Return the downloaded file in the cache, whole and with the expected checksum.

    It is downloaded unless it lies there already; force: even then.
    Raises DeepChromeError where it cannot be had, or is other than expected.
    """
    path = cache / f"{hashlib.sha256(remote.url.encode()).hexdigest()[:12]}-{remote.name}.gz"
    if force:
        path.unlink(missing_ok=True)
    pooch.get_logger().setLevel("WARNING")  # the bar says what its log would
    downloader = functools.partial(
        _download, remote=remote, part=path.with_suffix(".part"), observer=observer
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
    url: str, output_file: str, _pooch: object, *, remote: Remote, part: Path, observer: Observer
) -> None:
    """Download with resume and retries; pooch calls it and checks the hash of what it wrote."""
    observer.start(remote.name, None, 0)
    fault = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            wait = FIRST_WAIT * 2 ** (attempt - 1)
            observer.say(f"{url}: {fault}; trying again in {wait:.0f} s")
            time.sleep(wait)
        try:
            _transfer(remote, part, observer)
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
    have, whole = _kept(part)
    size = f"{whole['bytes']:,}" if whole.get("bytes") else "an unknown number of"
    kept = f" {have:,} of {size} bytes arrived and are kept in {part.parent}." if have else ""
    raise DeepChromeError(
        f"{url}: the download failed {ATTEMPTS} times, at last with: {fault}.{kept}"
        f" Run the command again to go on, or name a mirror with {remote.option}"
    )


def _reason(error: Exception) -> str:
    """Return the innermost message; requests and urllib3 wrap theirs in several others."""
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", None) or inner)


def _transfer(remote: Remote, part: Path, observer: Observer) -> None:
    """Make one request, for all of the file or for what is missing of it, and append to `part`."""
    have, whole = _kept(part)
    if have and have == whole["bytes"]:  # an earlier run ended just before the last step
        return
    headers = {"Accept-Encoding": "identity", "User-Agent": f"deepchrome/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if whole["etag"] and not whole["etag"].startswith("W/"):
            headers["If-Range"] = whole["etag"]
    with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        status = response.status_code
        if have and status in (206, 416) and not _continues(response, have, whole):
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
            whole = {
                "bytes": int(length) if length.isdecimal() else None,
                "etag": response.headers.get("ETag"),
            }
            _discard(part)
            files.write_json(_state(part), whole)
        observer.start(remote.name, whole["bytes"], have)
        with part.open("ab") as file:
            for chunk in itertools.chain([first], chunks):
                have += file.write(chunk)
                observer.advance(remote.name, have)
                if have > MAX_DOWNLOAD:
                    _discard(part)
                    raise DeepChromeError(
                        f"{remote.url}: more than {MAX_DOWNLOAD / GIB:.0f} GiB, the bound on a"
                        f" download; name a mirror with {remote.option}"
                    )
    if whole["bytes"] not in (None, have):
        raise _TransferError(f"the connection ended after {have:,} of {whole['bytes']:,} bytes")


def _check_gzip(start: bytes, response: requests.Response, remote: Remote) -> None:
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


def _continues(response: requests.Response, have: int, whole: dict[str, Any]) -> bool:
    """Tell whether a partial answer starts where `have` bytes end, in the same file."""
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or not given or int(given[1]) != have:
        return False
    size, etag = whole["bytes"], response.headers.get("ETag")
    same_size = size is None or given[2] in ("*", str(size))
    return same_size and (not etag or not whole["etag"] or etag == whole["etag"])


def _state(part: Path) -> Path:
    """Return the file beside a partial download that says which file it is a part of."""
    return part.with_name(part.name + ".json")


def _kept(part: Path) -> tuple[int, dict[str, Any]]:
    """Return the bytes of a partial download, and the size and ETag of the whole."""
    try:
        whole = read_json(_state(part), "the download starts anew")
        size, etag = whole["bytes"], whole["etag"]
        sound = isinstance(size, int | None) and isinstance(etag, str | None)
        return (part.stat().st_size, {"bytes": size, "etag": etag}) if sound else (0, {})
    except (OSError, DeepChromeError):  # none yet, or not to be continued
        return 0, {}


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)
