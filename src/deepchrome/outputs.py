"""What outputs are, and what may stand in their places: never what another put there."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from deepchrome.errors import DeepChromeError, listing

_MARK_WITHIN = 4096
"""Bytes at the start of a file among which its mark lies."""
_IN_DVC_CACHE = re.compile(r".*[/\\][0-9a-f]{2}[/\\][0-9a-f]{30}")
"""Where the links lead that DVC makes of outputs (cache.type symlink)."""
_OF_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What file managers put into every folder that a person opens."""


@dataclass(frozen=True)
class File:
    """An output whose place a person names.

    writer: the command, as messages name it. mark: bytes near the start of every file that it
    writes; a file without them is another's, unless it is empty.
    """

    path: Path
    writer: str
    mark: bytes


@dataclass(frozen=True)
class Folder:
    """An output that is a folder, replaced as a whole.

    writer: the command, as messages name it. names: what it puts there, paths within the folder;
    `*` and `?` stand for what they do in a shell.
    """

    path: str | Path
    writer: str
    names: Sequence[str]


Output = str | Path | File | Folder
"""An output; a path alone is a file that only the pipeline writes."""


def refuse(*outputs: Output, reads: Iterable[str | Path] = ()) -> None:
    """Refuse outputs that would destroy what another than their writer made; changes nothing.

    reads: inputs of the same command. Raises DeepChromeError for a folder with files that are not
    its writer's, a file where a folder is written and the reverse, links (but for those that DVC
    makes into its cache), devices, inputs, the working directory, the home folder and all above
    these, and places where nothing can be written.
    """
    inputs = [Path(path) for path in reads]
    for output in outputs:
        path = path_of(output)
        check_place(path)
        try:
            if _is_there(path):
                _check_target(output, path)
                _check_inputs(output, path, inputs)
        except OSError as error:
            raise unwritable(path, error) from None


def path_of(output: Output) -> Path:
    """Return where an output is written."""
    return Path(output if isinstance(output, str | Path) else output.path)


def unwritable(path: Path, error: OSError) -> DeepChromeError:
    """Return what to tell of a place where the operating system lets nothing be written."""
    return DeepChromeError(f"{path}: cannot be written ({error.strerror or error})")


def _is_there(path: Path) -> bool:
    try:
        path.lstat()  # unlike os.path.lexists, an error for a name that is too long
    except FileNotFoundError:
        return False
    return True


def check_place(path: Path) -> None:
    """Refuse places where no output may be or nothing can be written."""
    home = Path(os.path.realpath(os.path.expanduser("~")))  # unlike Path.home(), never an error
    cwd = Path(os.path.realpath("."))
    kept = {cwd, *cwd.parents, home, *home.parents}
    if path.name in ("", "..") or Path(os.path.realpath(path)) in kept:
        raise DeepChromeError(
            f"{path}: this folder would be replaced with all that is in it; name a new one"
        )
    above = next(parent for parent in path.parents if os.path.lexists(parent))
    if not above.is_dir():
        raise DeepChromeError(
            f"{path}: {above} is no folder, so that nothing can be written in it; name another"
        )
    if not os.access(above, os.W_OK | os.X_OK):
        raise DeepChromeError(f"{path}: no permission to write in {above}; name another folder")


def _check_target(output: Output, path: Path) -> None:
    made = "folder" if isinstance(output, Folder) else "file"
    if path.is_symlink():
        if made == "folder" or not _in_cache(path):
            raise DeepChromeError(
                f"{path}: found a link to {os.readlink(path)}, which the {made} to be written "
                f"would replace; name a {made}, or remove the link"
            )
        if not path.exists():  # its cache is gone
            return
    state = path.stat()
    found = "folder" if stat.S_ISDIR(state.st_mode) else "file"
    if found != made:
        raise DeepChromeError(
            f"{path}: found a {found}, which the {made} to be written would replace; name a {made}"
        )
    if isinstance(output, Folder):
        _check_folder(output, path)
    elif not stat.S_ISREG(state.st_mode):
        raise DeepChromeError(f"{path}: found a device or a pipe; name a file")
    elif isinstance(output, File):
        _check_file(output, path, state)


def _in_cache(path: Path) -> bool:
    return bool(_IN_DVC_CACHE.fullmatch(os.readlink(path)))


def _check_file(output: File, path: Path, state: os.stat_result) -> None:
    with path.open("rb") as file:
        start = file.read(_MARK_WITHIN)
    if start and output.mark not in start:
        raise DeepChromeError(
            f"{path}: found a file that {output.writer} did not write and would replace; name "
            "another file, or move this one away"
        )
    # of DVC's hard links there are two, and they are all protected
    if not state.st_mode & 0o222 and state.st_nlink == 1 and not path.is_symlink():
        raise DeepChromeError(f"{path}: write-protected; name another file")


def _check_folder(output: Folder, path: Path) -> None:
    others = list(_others(path, [name.split("/") for name in output.names]))
    if others:
        raise DeepChromeError(
            f"{path} holds what {output.writer} did not put there and would be replaced: "
            f"{listing(others)}. Name a new or empty folder, or move these away"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise DeepChromeError(f"{path}: no permission to replace what is in this folder")


def _others(folder: Path, names: list[list[str]], inside: tuple[str, ...] = ()) -> Iterator[str]:
    """Name what lies in a folder but has none of the names (paths by their parts)."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        parts = (*inside, entry.name)
        fit = [name for name in names if _begins(name, parts)]
        if entry.is_dir(follow_symlinks=False):
            if any(len(name) > len(parts) for name in fit):
                yield from _others(Path(entry.path), fit, parts)
            else:
                yield "/".join(parts) + "/"
        elif entry.name not in _OF_SYSTEMS and not (
            any(len(name) == len(parts) for name in fit)
            and (entry.is_file(follow_symlinks=False) or _in_cache_link(entry))
        ):
            yield "/".join(parts)


def _begins(name: list[str], parts: tuple[str, ...]) -> bool:
    return len(name) >= len(parts) and all(
        fnmatchcase(part, pattern) for part, pattern in zip(parts, name, strict=False)
    )


def _in_cache_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and _in_cache(Path(entry.path))


def _check_inputs(output: Output, path: Path, inputs: Sequence[Path]) -> None:
    where = Path(os.path.realpath(path))
    for source in inputs:
        if not source.exists():
            continue
        within = Path(os.path.realpath(source)).is_relative_to(where)
        if path.samefile(source) or (isinstance(output, Folder) and within):
            raise DeepChromeError(
                f"{path}: this would replace {source}, which the same command reads; name another"
            )
