"""combine: join raw directories, each kept whole, so that `ingest` treats each as what it is.

    combined.json    the parts, their layouts, cell types and where they came from
    <part>/          a copy of each directory

A cell type lies in one part; genes are matched by Ensembl id (`ingest`).
"""

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepchrome.console import console, progress
from deepchrome.data.sources import published, samples
from deepchrome.errors import DeepChromeError, listing
from deepchrome.files import replacing, write_json

MANIFEST = "combined.json"


@dataclass(frozen=True)
class Part:
    """One raw directory, or one part of a combined one; `name` is "" for the former.

    layout: "published" or "reads" (`sources.samples`, signal too). cells: sorted.
    """

    name: str
    path: Path
    layout: str
    cells: list[str]

    def only(self, cells: list[str]) -> "Part":
        """Return the part with some of its cell types."""
        return replace(self, cells=[cell for cell in self.cells if cell in cells])


def parts_of(raw: Path) -> list[Part]:
    """Return the parts of a raw directory: itself, unless `combine` wrote it.

    Raises DeepChromeError where it has none of the layouts that are known.
    """
    if not raw.is_dir():
        raise DeepChromeError(f"data.raw: {raw}: no such directory")
    manifest = raw / MANIFEST
    if manifest.is_file():
        try:
            names = list(json.loads(manifest.read_text(encoding="utf-8"))["parts"])
        except (ValueError, KeyError, TypeError):
            raise DeepChromeError(
                f"{manifest}: not what 'deepchrome combine' writes; combine the directories again"
            ) from None
        return _distinct([_part(raw / name, name) for name in names], raw)
    return [_part(raw, "")]


def _part(path: Path, name: str) -> Part:
    cells = published.cell_types(path)
    own = samples.is_here(path)
    if cells and own:
        raise DeepChromeError(
            f"data.raw: {path}: both layouts are here, {cells[0]}/classification and "
            f"{samples.SAMPLES} or Roadmap's reads; keep them in two directories and join these "
            "with 'deepchrome combine'"
        )
    if own:
        return Part(name, path, "reads", samples.cell_types(path))
    if not cells:
        raise DeepChromeError(
            f"data.raw: {path}: no cell types here; expected folders such as "
            "E003/classification/ with train.csv, valid.csv and test.csv, or "
            f"{samples.SAMPLES} and files of reads (docs/own_data.md)"
        )
    return Part(name, path, "published", cells)


def _distinct(parts: list[Part], where: object) -> list[Part]:
    """Refuse a cell type that lies in two parts."""
    seen: dict[str, Part] = {}
    for part in parts:
        for cell in part.cells:
            if cell in seen:
                raise DeepChromeError(
                    f"{where}: cell type {cell} is both in {seen[cell].path} and in {part.path}; "
                    "a cell type has one name and one source. Rename one, or leave it out"
                )
            seen[cell] = part
    return parts


def run(sources: list[Path], output: Path) -> None:
    """Copy raw directories into one, `output`, which `ingest` reads as a whole.

    Raises DeepChromeError for one that is none, a cell type in two of them, a mixture of counts and
    signal, and an `output` that holds anything else; then nothing has changed.
    """
    if len(sources) < 2:
        raise DeepChromeError(f"combine: found {len(sources)} directory, expected at least two")
    ours = (output / MANIFEST).is_file()
    if output.exists() and not ours and (not output.is_dir() or any(output.iterdir())):
        raise DeepChromeError(
            f"{output} would be replaced, and is not what combine wrote; name a new folder"
        )
    found: list[tuple[Part, str]] = []  # a part and where it came from
    for source in sources:
        inside = output.resolve().is_relative_to(source.resolve())
        if inside or source.resolve().is_relative_to(output.resolve()):
            raise DeepChromeError(
                f"{source} and {output} lie within each other; name another folder"
            )
        for part in parts_of(source):
            found.append((part, str(source)))
    parts = _distinct([part for part, _ in found], output)
    _one_kind(parts)
    names = _names(found)
    sizes = {part.path: _files(part) for part in parts}
    total = sum(size for files in sizes.values() for _, size in files)
    with (
        replacing(output) as (folder,),
        progress("combine", "MB", total / 1e6) as advance,
    ):
        folder.mkdir()
        content: dict[str, Any] = {}
        for (part, source_name), name in zip(found, names, strict=True):
            for path, size in sizes[part.path]:
                target = folder / name / path.relative_to(part.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                advance(size / 1e6)
            content[name] = {"layout": part.layout, "cells": part.cells, "from": source_name}
        write_json(folder / MANIFEST, {"parts": content})
    for name, part in zip(names, parts, strict=True):
        console.print(
            f"{output / name}: {part.layout} layout, {len(part.cells)} cell types: "
            f"{listing(part.cells, 8)}"
        )


def _files(part: Part) -> list[tuple[Path, int]]:
    found = []
    for folder, _, names in os.walk(part.path, followlinks=True):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                found.append((path, path.stat().st_size))
    return sorted(found)


def _one_kind(parts: list[Part]) -> None:
    """Refuse signal beside counts, before anything is copied."""
    kinds: dict[str, Part] = {}
    for part in parts:
        own = part.layout == "reads"
        kinds[samples.read_samples(part.path)[0].kind if own else "counts"] = part
    if len(kinds) > 1:
        raise DeepChromeError(
            f"combine: {kinds['counts'].path} holds counts of reads and {kinds['signal'].path} "
            "signal (bigWig, bedGraph); a dataset holds one kind. Give reads for both"
        )


def _names(found: list[tuple[Part, str]]) -> list[str]:
    """Return a distinct name for each part: that of its directory."""
    names: list[str] = []
    for part, _ in found:
        name = re.sub(r"[^A-Za-z0-9_.+-]", "_", part.name or part.path.resolve().name)
        tried, n = name, 1
        while tried in names or tried == MANIFEST:
            n += 1
            tried = f"{name}-{n}"
        names.append(tried)
    return names
