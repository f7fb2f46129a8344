"""combine: join raw directories into one, so that `ingest` treats each as what it is."""

import glob
import os
import shutil
from pathlib import Path
from typing import Any

from deepchrome.console import console, progress
from deepchrome.data.sources.combined import MANIFEST, joined
from deepchrome.errors import listing
from deepchrome.files import Folder, read_json, refuse, replacing, write_json


def run(sources: list[Path], output: Path) -> None:
    """Copy raw directories into one, `output`, which `ingest` reads as a whole.

    Raises DeepChromeError for one that is none, a cell type in two of them, a mixture of counts and
    signal, and an `output` that holds anything else; then nothing has changed.
    """
    written = Folder(output, "combine", earlier_files(output))
    refuse(written, reads=sources)
    parts = joined(sources, output)
    sizes = {part.path: _files(part.path) for _, part, _ in parts}
    total = sum(size for files in sizes.values() for _, size in files)
    with (
        replacing(written) as (folder,),
        progress("combine", "MB", total / 1e6) as advance,
    ):
        folder.mkdir()
        content: dict[str, Any] = {}
        files = []
        for name, part, source in parts:
            for path, size in sizes[part.path]:
                target = folder / name / path.relative_to(part.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                files.append(target.relative_to(folder).as_posix())
                advance(size / 1e6)
            content[name] = {"layout": part.layout, "cells": part.cells, "from": str(source)}
        write_json(folder / MANIFEST, {"parts": content, "files": sorted(files)})
    for name, part, _ in parts:
        console.print(
            f"{output / name}: {part.layout} layout, {len(part.cells)} cell types: "
            f"{listing(part.cells, 8)}"
        )


def earlier_files(folder: Path) -> list[str]:
    """Name what an earlier run wrote, by its record: none without one."""
    if not (folder / MANIFEST).is_file():
        return []
    record = read_json(folder / MANIFEST, "remove the folder if it holds nothing of yours")
    files = record.get("files")
    return [MANIFEST, *map(glob.escape, map(str, files))] if isinstance(files, list) else []


def _files(folder: Path) -> list[tuple[Path, int]]:
    """Return all files of a folder, sorted, and their bytes."""
    found = []
    for inside, _, names in os.walk(folder, followlinks=True):
        for name in sorted(names):
            path = Path(inside, name)
            if path.is_file():
                found.append((path, path.stat().st_size))
    return sorted(found)
