"""Assemblies: which genome a gene table and files are of, by the lengths of chromosomes.

chrom.sizes, beside the samples, gives them for other genomes than human (UCSC's format).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepchrome.data.reference import chromosomes
from deepchrome.data.sources.genes import PACKAGED
from deepchrome.errors import DeepChromeError, listing

SIZES = "chrom.sizes"


@dataclass(frozen=True)
class Assembly:
    """The lengths of chromosomes, as the gene table names them, and where they are known from."""

    name: str
    sizes: dict[str, int]


def human(names: list[str]) -> list[Assembly]:
    """Return hg19 and hg38, their chromosomes named in the style of `names` (chr1 or 1)."""
    table = chromosomes()
    bare = not any(name.startswith("chr") for name in names)
    renamed = table.rename(index=lambda name: name.removeprefix("chr") if bare else name)
    return [Assembly(name, renamed[name].astype(int).to_dict()) for name in ("hg19", "hg38")]


def likelier(chrom: str, position: int) -> str:
    """Say which human assembly has a position on a chromosome that another lacks."""
    fits = [
        one.name for one in human([chrom]) if one.sizes.get(chrom) and position <= one.sizes[chrom]
    ]
    return f"It fits {fits[0]}, the likelier assembly." if len(fits) == 1 else ""


def check_naming(path: object, found: list[str], expected: list[str], where: str) -> None:
    """Refuse a file that shares no chromosome with the gene table.

    found: chromosomes of `path`. expected: those of the gene table. where: which gene table.
    """
    if set(found) & set(expected):
        return
    advice = "are they of the same genome?"
    if _bare(found) & _bare(expected):
        advice = "one side writes chr1, the other 1; rename the chromosomes of one of them"
    raise DeepChromeError(
        f"{path}: no chromosome in common with the gene table: it has "
        f"{listing(sorted(found), 3) or 'none'}, {where} has {listing(expected, 3)}; {advice}"
    )


def _bare(names: list[str]) -> set[str]:
    return {name.removeprefix("chr") for name in names}


def beyond(chrom: str, end: int, limits: dict[str, int]) -> str:
    """Say that a position lies beyond a chromosome's end, and which assembly it fits."""
    return (
        f"{chrom}: found position {end:,} beyond the chromosome's end, {limits.get(chrom, 0):,}. "
        f"{likelier(chrom, end)}"
    ).rstrip()


def agreeing(
    raw: Path,
    genes: pd.DataFrame,
    genes_from: str,
    headers: Iterable[tuple[Path, dict[str, int]]],
) -> list[Assembly]:
    """Return the genomes that a gene table and the headers of files agree with.

    raw: the folder, in which `chrom.sizes` may lie. genes: chrom and tss, by gene_id. genes_from:
    which gene table, in messages. headers: files with the lengths of chromosomes that they state.
    None are returned where nothing is known. Raises DeepChromeError where they do not agree.
    """
    names = sorted(set(genes["chrom"]))
    furthest = genes.groupby("chrom")["tss"].max().to_dict()
    candidates = fitting(_of_genes(raw, genes, genes_from), furthest, genes_from)
    for path, header in headers:
        check_naming(path, list(header), names, genes_from)
        if not candidates:
            candidates = fitting([Assembly(f"the header of {path}", header)], furthest, genes_from)
            continue
        agree = [one for one in candidates if _difference(header, one.sizes) is None]
        if not agree:
            chrom = _difference(header, candidates[0].sizes)
            assert chrom is not None
            is_of = [one.name for one in human(names) if _difference(header, one.sizes) is None]
            raise DeepChromeError(
                f"{path}: of another genome: its header says that {chrom} has "
                f"{header[chrom]:,} bp{f', as in {is_of[0]}' if is_of else ''}; expected "
                + " or ".join(f"{one.sizes[chrom]:,} ({one.name})" for one in candidates)
                + f", as {genes_from} goes with. Take reads and genes of one assembly"
                + (
                    ""
                    if (raw / SIZES).is_file()
                    else f"; for another genome put {SIZES} into {raw}"
                )
            )
        candidates = agree
    return candidates


def _of_genes(raw: Path, genes: pd.DataFrame, genes_from: str) -> list[Assembly]:
    """Return the genomes that a gene table may be of, by its folder, its name and its ids."""
    names = sorted(set(genes["chrom"]))
    path = raw / SIZES
    if path.is_file():
        stated = _sizes(path)
        check_naming(path, list(stated.sizes), names, genes_from)
        return [stated]
    if genes_from == PACKAGED:
        return human(names)[:1]
    return human(names) if genes.index.str.startswith("ENSG").mean() > 0.5 else []


def _sizes(path: Path) -> Assembly:
    """Read chrom.sizes: name and length, separated by a tab."""
    sizes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, length = line.strip().partition("\t")
        if not line.strip() or line.startswith("#"):
            continue
        if not length.isdigit() or not int(length):
            raise DeepChromeError(
                f"{path}: line {number}: found {line[:60]!r}, expected a chromosome and its length "
                "in bp, separated by a tab"
            )
        sizes[name] = int(length)
    return Assembly(SIZES, sizes)


def _difference(header: dict[str, int], sizes: dict[str, int]) -> str | None:
    """Name a chromosome whose length differs, if any does."""
    return next((name for name in sizes if header.get(name, sizes[name]) != sizes[name]), None)


def fitting(candidates: list[Assembly], furthest: dict[str, int], path: object) -> list[Assembly]:
    """Return the genomes that hold these positions; at least one must, if there are any.

    furthest: the last position of each chromosome that `path`, named in the message, speaks of.
    """
    fits = [
        one
        for one in candidates
        if all(end <= one.sizes.get(chrom, end) for chrom, end in furthest.items())
    ]
    if candidates and not fits:
        sizes = candidates[0].sizes
        over = [c for c, end in furthest.items() if end > sizes.get(c, end)]
        raise DeepChromeError(
            f"{path}: {beyond(over[0], furthest[over[0]], sizes)} "
            f"(lengths: {listing(one.name for one in candidates)}). Is it of the same assembly as "
            f"the rest? For another genome put {SIZES} beside samples.tsv"
        )
    return fits
