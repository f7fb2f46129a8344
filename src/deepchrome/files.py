"""Outputs that appear whole or not at all."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepchrome.errors import DeepChromeError, listing

_TEMPORARY = ".partial-"


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_existing(output: Path, writer: str, *marks: str, names: str = ".*") -> None:
    """Refuse a folder that holds what another than `writer` put there, before it is replaced.

    writer: the command, as messages name it. It knows its own work by `marks`, files that all are
    there, and by `names`, a pattern that every name in the folder matches. An output that is not
    there, or an empty folder, is free to take.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise DeepChromeError(f"{output}: expected a folder, found a file")
    found = sorted(path.name for path in output.iterdir())
    others = [name for name in found if not re.fullmatch(names, name)]
    if not all((output / mark).is_file() for mark in marks):
        others = others or found
    if others:
        raise DeepChromeError(
            f"{output} holds what {writer} did not put there and would be replaced: "
            f"{listing(others)}. Name a new or empty folder, or move these away"
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
def replacing(*paths: str | Path) -> Iterator[list[Path]]:
    """Build several outputs beside their places and swap them in together when all are done.

    Yields one temporary path for each of `paths` (its parent exists, it does not). When the block
    ends normally, each replaces what stood at its path; an output that the block did not write is
    removed there too. When the block raises, the earlier outputs are untouched. A file replaces no
    folder and a folder no file, and none of them the working directory, a folder above it or the
    home folder: then DeepChromeError is raised, and nothing has changed.
    """
    targets = [Path(path) for path in paths]
    temporary = []
    home = Path(os.path.expanduser("~"))  # unlike Path.home(), no error where there is none
    kept = {home.resolve(), Path.cwd(), *Path.cwd().parents}
    for target in targets:
        if target.resolve() in kept:
            raise DeepChromeError(
                f"{target}: this folder would be replaced with all that is in it; name a new one"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        for stale in target.parent.glob(f"{_TEMPORARY}*-{target.name}"):  # left by a killed run
            remove(stale)
        temporary.append(target.parent / f"{_TEMPORARY}{os.getpid()}-{target.name}")
    try:
        yield temporary
        for new, target in zip(temporary, targets, strict=True):
            if target.exists() and new.exists() and target.is_dir() != new.is_dir():
                found, made = ("folder", "file") if target.is_dir() else ("file", "folder")
                raise DeepChromeError(
                    f"{target}: found a {found}, which the {made} to be written would replace; "
                    f"name a {made}"
                )
        for new, target in zip(temporary, targets, strict=True):
            if target.is_dir() or not new.exists():
                remove(target)  # os.replace cannot put anything over a folder
            if new.exists():
                os.replace(new, target)
    finally:
        for new in temporary:
            remove(new)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file as people read it: indented, one key a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path, remedy: str) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    remedy: what to do where it is missing or damaged, such as "run 'dvc repro ingest'". Raises
    DeepChromeError for a file that is missing, no text, no JSON, no object, or nested too deep.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file; {remedy}") from None
    except (ValueError, RecursionError) as error:  # of no UTF-8 too
        raise DeepChromeError(f"{path}: damaged, no JSON ({error}); {remedy}") from None
    except OSError as error:
        raise DeepChromeError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not isinstance(content, dict):
        raise DeepChromeError(f"{path}: damaged, no JSON object; {remedy}")
    return content
