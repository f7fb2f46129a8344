"""Raw directories: one of a known layout, or several that `combine` joined, each kept whole.

    combined.json    the parts, their layouts, cell types and where they came from
    <part>/          a copy of each directory

A cell type lies in one part; genes are matched by Ensembl id (`ingest`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from deepchrome.data.sources import published, samples
from deepchrome.data.sources.names import check_distinct, file_name
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import read_json

MANIFEST = "combined.json"


@dataclass(frozen=True)
class Part:
    """One raw directory, or one part of a combined one; `name` is "" for the former.

    layout: "published" or "reads" (`sources.samples`, signal too). cells: sorted. whole: the raw
    directory, `path` itself where it is no part of a combined one.
    """

    name: str
    path: Path
    layout: str
    cells: list[str]
    whole: Path

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
        names = _part_names(manifest, raw)
        return _distinct([_part(raw / name, name, raw) for name in names], raw)
    return _distinct([_part(raw, "", raw)], raw)


def _part_names(manifest: Path, raw: Path) -> list[str]:
    """Return the names of the parts, each a folder that lies in the raw directory itself."""
    again = "combine the directories again"
    parts = read_json(manifest, again).get("parts")
    if not isinstance(parts, dict) or not parts:
        raise DeepChromeError(f"{manifest}: not what 'deepchrome combine' writes; {again}")
    for name in parts:
        if file_name(name) != name:
            raise DeepChromeError(
                f"{manifest}: parts: found {name[:120]!r}, expected the name of a folder here; "
                f"{again}"
            )
        if not (raw / name).is_dir():
            raise DeepChromeError(f"{manifest}: parts: no folder {raw / name}; {again}")
        if (raw / name).resolve() != raw.resolve() / name:
            raise DeepChromeError(
                f"{raw / name}: a link to {(raw / name).resolve()}; expected a folder, as "
                f"'deepchrome combine' writes it; {again}"
            )
    return list(parts)


def _part(path: Path, name: str, whole: Path) -> Part:
    cells = published.cell_types(path)
    own = samples.is_here(path)
    if cells and own:
        raise DeepChromeError(
            f"data.raw: {path}: both layouts are here, {cells[0]}/classification and "
            f"{samples.SAMPLES} or Roadmap's reads; keep them in two directories and join these "
            "with 'deepchrome combine'"
        )
    if own:
        return Part(name, path, "reads", samples.cell_types(path), whole)
    if not cells:
        raise DeepChromeError(
            f"data.raw: {path}: no cell types here; expected folders such as "
            "E003/classification/ with train.csv, valid.csv and test.csv, or "
            f"{samples.SAMPLES} and files of reads (docs/own_data.md)"
        )
    return Part(name, path, "published", cells, whole)


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
    check_distinct(seen, f"{where}: ")
    return parts


def chosen(raw: str, parts: list[Part], cells: str | list[str]) -> list[Part]:
    """Return the parts with the wanted cell types alone, all of which are there.

    cells: "all", or a list. raw: names the raw directory in messages.
    """
    if isinstance(cells, str):
        return parts
    present = [cell for part in parts for cell in part.cells]
    for cell in cells:
        if cell not in present:
            raise DeepChromeError(
                f"cells: {cell!r} is not in {raw}{nearest(cell, present) or '.'} "
                f"It has {listing(present, 60)}."
            )
    wanted = [part.only(cells) for part in parts]
    return [part for part in wanted if part.cells]


def joined(sources: list[Path], output: Path) -> list[tuple[str, Part, Path]]:
    """Return the parts of several raw directories, with new names, and where each came from.

    output: the directory that will hold them, one folder for each name.
    Raises DeepChromeError for a directory that is none, a cell type in two of them, and a mixture
    of counts and signal.
    """
    if len(sources) < 2:
        raise DeepChromeError(f"combine: found {len(sources)} directory, expected at least two")
    found: list[tuple[Part, Path]] = []
    for source in sources:
        inside = output.resolve().is_relative_to(source.resolve())
        if inside or source.resolve().is_relative_to(output.resolve()):
            raise DeepChromeError(
                f"{source} and {output} lie within each other; name another folder"
            )
        found += [(part, source) for part in parts_of(source)]
    parts = _distinct([part for part, _ in found], output)
    _one_kind(parts)
    names = _new_names(parts)
    return [(name, part, source) for name, (part, source) in zip(names, found, strict=True)]


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


def _new_names(parts: list[Part]) -> list[str]:
    """Return a distinct name for each part: that of its directory."""
    names: list[str] = []
    for part in parts:
        name = file_name(part.name or part.path.resolve().name)
        tried, n = name, 1
        while tried in names or tried == MANIFEST:
            n += 1
            tried = f"{name}-{n}"
        names.append(tried)
    return names
