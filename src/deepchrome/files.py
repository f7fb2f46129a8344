"""Outputs that appear whole or not at all."""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepchrome.errors import DeepChromeError, listing
from deepchrome.outputs import File, Folder, Output, check_place, path_of, refuse, unwritable

__all__ = [
    "Fields",
    "File",
    "Folder",
    "lies_in",
    "only_writer",
    "parse_json",
    "read_json",
    "refuse",
    "remove",
    "replacing",
    "write_json",
]

_TEMPORARY = ".partial-"
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EMFILE: "allow more open files, such as by 'ulimit -n 4096'",
}


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Place:
    """Where an output is made, and where an earlier folder waits while they change places."""

    output: Output
    target: Path
    new: Path
    old: Path

    @classmethod
    def of(cls, output: Output) -> "_Place":
        target = path_of(output)
        begin = f"{_TEMPORARY}{os.getpid()}"
        return cls(
            output,
            target,
            target.parent / f"{begin}-{target.name}",
            target.parent / f"{begin}.old-{target.name}",
        )


_CACHED = re.compile(r".*/[0-9a-f]{2}/[0-9a-f]{30}")
"""Where DVC keeps a file's content."""


def lies_in(path: Path, folder: Path) -> bool:
    """Tell whether a file is in a folder, or a link from there into DVC's cache.

    DVC makes such links with cache.type symlink; they are as much a part of the folder as copies.
    """
    inside = Path(os.path.normpath(path)).is_relative_to(Path(os.path.normpath(folder)))
    target = path.resolve()
    return target.is_relative_to(folder.resolve()) or (
        inside and path.is_symlink() and _CACHED.fullmatch(target.as_posix()) is not None
    )


@contextlib.contextmanager
def replacing(*outputs: Output, reads: Iterable[str | Path] = ()) -> Iterator[list[Path]]:
    """Build several outputs beside their places and swap them in together when all are done.

    Yields one temporary path for each output (its parent exists, it does not). When the block ends
    normally, each replaces what stood at its path; an output that the block did not write is
    removed there too. When the block raises, the earlier outputs are untouched; a process that is
    killed leaves each output as it was or as it will be, whole, and the next run clears up.

    Raises DeepChromeError for what `refuse` refuses, before the block runs and before anything is
    replaced; where another process is writing one of the outputs; and where the disk is full.
    """
    places = [_Place.of(output) for output in outputs]
    with contextlib.ExitStack() as alone:
        for place in places:
            check_place(place.target)
            try:
                alone.enter_context(only_writer(place.target))
                _clear_killed(place.target)
            except OSError as error:
                raise unwritable(place.target, error) from None
        refuse(*outputs, reads=reads)
        with _told(places):
            try:
                yield [place.new for place in places]
                refuse(*outputs)
                for place in places:
                    _swap(place)
            finally:
                for place in places:
                    remove(place.new)


@contextlib.contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Write `target` while no other process does; DeepChromeError where another does already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.parent / f"{_TEMPORARY}lock-{target.name}"
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise DeepChromeError(
                f"{target}: another run is writing it now; wait until that has ended"
            ) from None
        except OSError:
            pass  # a file system without locks
        if _is_at(handle, lock):
            break
        os.close(handle)  # its last holder removed it after we had opened it
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _clear_killed(target: Path) -> None:
    """Remove what killed runs left of an output; put back the folder that one had moved away."""
    pattern = re.compile(rf"{re.escape(_TEMPORARY)}(\d+)(\.old)?-{re.escape(target.name)}")
    for path in sorted(target.parent.iterdir()):
        found = pattern.fullmatch(path.name)
        if not found or _is_another(found[1]):
            continue
        if found[2] and not os.path.lexists(target):
            os.replace(path, target)
        else:
            remove(path)


def _is_another(pid: str) -> bool:
    """Tell whether a process other than this one has this number."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return int(pid) != os.getpid()


def _swap(place: _Place) -> None:
    """Put an output in its place; what stood there is left at `place.new`, to be removed."""
    if not os.path.lexists(place.new):
        with contextlib.suppress(FileNotFoundError):
            os.replace(place.target, place.new)
    elif not isinstance(place.output, Folder):
        os.replace(place.new, place.target)
    else:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.replace(place.target, place.old)
            os.replace(place.new, place.target)
        except BaseException:
            if os.path.lexists(place.old) and not os.path.lexists(place.target):
                os.replace(place.old, place.target)
            raise
        with contextlib.suppress(FileNotFoundError):
            os.replace(place.old, place.new)


@contextlib.contextmanager
def _told(places: Sequence[_Place]) -> Iterator[None]:
    """Say what an error of the operating system means for the outputs."""
    try:
        yield
    except (DeepChromeError, BrokenPipeError):
        raise
    except Exception as error:
        inner = re.search(r"\(os error (\d+)\)", str(error))  # of safetensors, written in Rust
        code = error.errno if isinstance(error, OSError) else int(inner[1]) if inner else None
        if code is None:
            raise
        names = listing(place.target for place in places)
        where = getattr(error, "filename", None) or names
        remedy = _REMEDIES.get(code, "put the cause right")
        raise DeepChromeError(
            f"{where}: {os.strerror(code)}; {remedy} and run the command again. "
            f"What stood at {names} is untouched"
        ) from error


# --- JSON ---------------------------------------------------------------------------------------


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file as people read it: indented, one key a line.

    It is not swapped in: what others may see is written within `replacing`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


class Fields(dict[str, Any]):
    """An object of JSON; a key that is missing is a fault of the file.

    where: the file. remedy: what to do about it.
    """

    def __init__(self, content: dict[str, Any], where: object, remedy: str):
        super().__init__(content)
        self._where, self._remedy = where, remedy

    def __missing__(self, key: str) -> Any:
        raise DeepChromeError(
            f"{self._where}: no {key!r} (found {listing(self, 10) or 'nothing'}); {self._remedy}"
        )


def read_json(path: str | Path, remedy: str) -> Fields:
    """Read a JSON file that holds an object.

    remedy: what to do where it is missing or damaged, such as "run 'dvc repro ingest'". Raises
    DeepChromeError for a file that is missing or cannot be read, and as `parse_json` does.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file; {remedy}") from None
    except OSError as error:
        raise DeepChromeError(f"{path}: cannot be read ({error.strerror or error})") from None
    return parse_json(content, path, remedy)


def parse_json(content: bytes, where: object, remedy: str) -> Fields:
    """Return the object that JSON holds.

    Raises DeepChromeError for what is no UTF-8, no JSON, no object, or nested too deep.
    """
    try:
        found = json.loads(content.decode())
    except (ValueError, RecursionError) as error:  # of no UTF-8 too
        raise DeepChromeError(f"{where}: not valid JSON ({error}); {remedy}") from None
    if not isinstance(found, dict):
        raise DeepChromeError(
            f"{where}: found {type(found).__name__}, expected an object; {remedy}"
        )
    return Fields(found, where, remedy)
