"""Assemblies: which genome a gene table and files are of, by the lengths of chromosomes.

chrom.sizes, beside the samples, gives them for genomes that are not known here (UCSC's format).
The mitochondrial chromosome tells nothing: UCSC's hg19 has another sequence of it (16,571 bp) than
everybody else (16,569 bp).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepchrome.data.sources.chromosomes import (
    BUILDS,
    KNOWN,
    Naming,
    builds_with,
    is_mitochondrial,
    seqinfo,
)
from deepchrome.data.sources.genes import PACKAGED
from deepchrome.data.sources.text import open_text
from deepchrome.errors import DeepChromeError, joined, listing

SIZES = "chrom.sizes"

LONGEST = 1 << 31
"""No chromosome is longer (bp); what UCSC's and samtools' formats hold."""


OVERHANG = 1_000
"""By so much (bp) a position may lie beyond its chromosome; assemblies differ by far more."""


@dataclass(frozen=True)
class Assembly:
    """The lengths of chromosomes, by `Naming.one_name`, and where they are known from."""

    name: str
    sizes: dict[str, int]

    def differs(self, sizes: Mapping[str, int]) -> str | None:
        """Name a chromosome whose length is another in `sizes`, if one is."""
        return next(
            (
                name
                for name, size in self.sizes.items()
                if not is_mitochondrial(name) and sizes.get(name, size) != size
            ),
            None,
        )


def builds_of(gene_ids: pd.Index, genes_from: str, stated: str | None = None) -> tuple[str, ...]:
    """Return the known assemblies that a gene table may be of, none where nothing tells.

    stated: the assembly that the table itself names. genes_from: the table; the package's is hg19.
    """
    if genes_from == PACKAGED:
        return ("hg19",)
    if stated in KNOWN:
        return (stated,)
    for prefix, builds in BUILDS.items():
        if gene_ids.str.match(rf"{prefix}\d").mean() > 0.5:
            return builds
    return ()


def known(build: str, naming: Naming) -> Assembly:
    """Return a known assembly, its chromosomes named as the gene table names them."""
    lengths = {name: int(length) for name, length in seqinfo(build)["length"].items()}
    return Assembly(build, naming.by_one_name(lengths))


def beyond(chrom: str, end: int, limits: Mapping[str, int]) -> str:
    """Say that a position lies beyond a chromosome's end."""
    return (
        f"{chrom}: found position {end:,} beyond the chromosome's end, {limits.get(chrom, 0):,}. "
        "Is it of the same assembly as the genes?"
    )


def agreeing(
    raw: Path,
    genes: pd.DataFrame,
    genes_from: str,
    headers: Mapping[Path, dict[str, int]],
    stated: str | None = None,
) -> tuple[Naming, list[Assembly]]:
    """Return how files may name chromosomes, and the genomes that genes and headers agree with.

    raw: the folder, in which `chrom.sizes` may lie. genes: chrom and tss, by gene_id. genes_from:
    which gene table, in messages. headers: files with the lengths of chromosomes that they state.
    stated: the assembly that the gene table names.
    No genome is returned where nothing is known. Raises DeepChromeError where they do not agree.
    """
    builds = builds_of(genes.index, genes_from, stated)
    naming = Naming(genes["chrom"], builds)
    naming.check_table(genes_from)
    furthest = genes.groupby("chrom")["tss"].max().to_dict()
    candidates = [known(build, naming) for build in builds]
    if (raw / SIZES).is_file():
        lengths = _read_sizes(raw / SIZES)
        naming.check(raw / SIZES, lengths, genes_from)
        candidates = [Assembly(SIZES, naming.by_one_name(lengths))]
    candidates = fitting(candidates, furthest, naming, genes_from)
    for path, header in headers.items():
        naming.check(path, header, genes_from)
        sizes = naming.by_one_name(header)
        candidates = candidates or fitting(
            [Assembly(f"the header of {path}", sizes)], furthest, naming, genes_from
        )
        candidates = of_accessions(candidates, header, path)
        agree = [one for one in candidates if one.differs(sizes) is None]
        if not agree:
            raise _of_another_genome(path, sizes, candidates, naming, genes_from, raw)
        candidates = agree
        _check_renamed(path, sizes, candidates[0], naming)
    return naming, candidates


def _check_renamed(
    path: Path, sizes: Mapping[str, int], assembly: Assembly, naming: Naming
) -> None:
    """Refuse a file that has a chromosome of the gene table under a name that nobody knows.

    sizes: what its header states, by `Naming.one_name`.
    """
    unknown = {size: name for name, size in sizes.items() if name not in assembly.sizes}
    for chrom in naming.names:
        name = unknown.get(assembly.sizes.get(chrom, 0))
        if name is not None and chrom not in sizes:
            raise DeepChromeError(
                f"{path}: its header has no {chrom}, but {name} of the same length, "
                f"{assembly.sizes[chrom]:,} bp ({assembly.name}). Name it as the gene table, UCSC, "
                "Ensembl or NCBI do, or copy or download the file again"
            )


def _of_another_genome(
    path: Path,
    sizes: dict[str, int],
    candidates: list[Assembly],
    naming: Naming,
    genes_from: str,
    raw: Path,
) -> DeepChromeError:
    chrom = candidates[0].differs(sizes)
    assert chrom is not None
    every = [known(build, naming) for build in KNOWN]
    is_of = [one.name for one in every if one.sizes and one.differs(sizes) is None]
    more = "" if (raw / SIZES).is_file() else f"; for another genome put {SIZES} into {raw}"
    return DeepChromeError(
        f"{path}: of another genome: its header says that {chrom} has {sizes[chrom]:,} bp"
        f"{f', as in {is_of[0]}' if is_of else ''}; expected "
        + " or ".join(f"{one.sizes[chrom]:,} ({one.name})" for one in candidates)
        + f", as {genes_from} goes with. Take reads and genes of one assembly{more}"
    )


def of_accessions(candidates: list[Assembly], found: Iterable[str], path: object) -> list[Assembly]:
    """Return the genomes that the names of chromosomes allow: NC_000001.11 is hg38's chr1 alone.

    found: all names in `path`. Raises DeepChromeError where none is left.
    """
    builds = builds_with(found)
    if builds is None:
        return candidates
    left = [one for one in candidates if one.name in builds or one.name not in KNOWN]
    if candidates and not left:
        raise DeepChromeError(
            f"{path}: of another genome: it names chromosomes of {listing(sorted(builds))}; "
            f"expected {joined(one.name for one in candidates)}. Take reads and genes of one "
            "assembly"
        )
    return left


def _read_sizes(path: Path) -> dict[str, int]:
    """Read chrom.sizes: name and length, separated by a tab; further columns (.fai) are let be."""
    sizes: dict[str, int] = {}
    with open_text(path, "chromosomes and their lengths") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, length, *_ = [*line.strip().split("\t"), ""]
            whole = length.isascii() and length.isdigit() and len(length) < 11
            if not name or not whole or not 0 < int(length) <= LONGEST:
                raise DeepChromeError(
                    f"{path}: line {number}: found {line.strip()[:60]!r}, expected a chromosome "
                    f"and its length in bp, separated by a tab"
                )
            if sizes.setdefault(name, int(length)) != int(length):
                raise DeepChromeError(
                    f"{path}: line {number}: {name} has {int(length):,} bp here and "
                    f"{sizes[name]:,} above; keep one"
                )
    return sizes


def fitting(
    candidates: list[Assembly], furthest: Mapping[str, int], naming: Naming, path: object
) -> list[Assembly]:
    """Return the genomes that hold these positions; at least one must, if there are any.

    furthest: the last position of each chromosome that `path`, named in the message, speaks of, by
    `Naming.one_name`. Some tools write intervals that hang over a chromosome's end
    (macs3-project/MACS#438), so `OVERHANG` is allowed for.
    """
    fits = [one for one in candidates if _holds(one, furthest)]
    if candidates and not fits:
        first = candidates[0]
        chrom = next(name for name in furthest if not _holds(first, {name: furthest[name]}))
        tried = [one.name for one in candidates]
        others = [
            build
            for build in _same_species(first)
            if build not in tried and _holds(known(build, naming), furthest)
        ]
        raise DeepChromeError(
            f"{path}: {beyond(chrom, furthest[chrom], first.sizes)} Expected {joined(tried)}"
            f"{f'; all its positions fit {joined(others)}' if others else ''}. "
            f"For another genome put {SIZES} beside samples.tsv"
        )
    return fits


def _same_species(one: Assembly) -> tuple[str, ...]:
    return next((builds for builds in BUILDS.values() if one.name in builds), ())


def _holds(one: Assembly, furthest: Mapping[str, int]) -> bool:
    return all(
        end <= one.sizes.get(chrom, end) + OVERHANG
        for chrom, end in furthest.items()
        if not is_mitochondrial(chrom)
    )
