"""Names of chromosomes: what files call those of a gene table, in UCSC's, Ensembl's or NCBI's way.

Aliases and lengths of known assemblies come from bioframe (open2c/bioframe).
"""

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

import pandas as pd

from deepchrome.errors import DeepChromeError, listing

BUILDS = {
    "ENSG": ("hg19", "hg38", "hs1"),
    "ENSMUSG": ("mm10", "mm39"),
    "FBgn": ("dm6",),
    "WBGene": ("ce11",),
}
"""The assemblies of a species, by what its gene ids begin with. Of those that bioframe 0.8.0 names,
it cannot read mm9 and dm3, and gives danRer10's lengths for danRer11: these need chrom.sizes."""

KNOWN = tuple(build for builds in BUILDS.values() for build in builds)

MITOCHONDRIAL = ("M", "MT", "Mt", "Mito", "MtDNA")
"""Bare names of a chromosome whose sequence differs within hg19: it decides no assembly."""


@cache
def seqinfo(build: str) -> pd.DataFrame:
    """Return the sequences of a known assembly: length and aliases (a set), by UCSC's name."""
    import bioframe  # 0.3 s, and only one's own data need it

    table = bioframe.assembly_info(build, roles="all", units="all").seqinfo.set_index("name")
    aliases = [frozenset(str(names).split(",")) for names in table["aliases"]]
    return table[["length"]].assign(aliases=aliases)


@cache
def _names_of(build: str) -> Mapping[str, str]:
    """Return UCSC's name of every name that an assembly's sequences go by."""
    table = seqinfo(build)
    names = {alias: name for name, others in table["aliases"].items() for alias in others}
    return MappingProxyType(names | {name: name for name in table.index})


def bare(name: str) -> str:
    """Return a chromosome's name without the prefix that UCSC writes: 1 of chr1."""
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def is_mitochondrial(name: str) -> bool:
    """Tell whether a chromosome is the mitochondrial one, by its name."""
    return bare(name) in MITOCHONDRIAL


def builds_with(names: Iterable[str]) -> set[str] | None:
    """Return the assemblies that NCBI's accessions, such as NC_000001.11, are of.

    None where there are no accessions among `names`.
    """
    found: set[str] | None = None
    for name in names:
        builds = {build for build in KNOWN if name in _names_of(build)}
        if "." in name and builds:
            found = builds if found is None else found & builds
    return found


class Naming:
    """How files may name the chromosomes of a gene table.

    names: those of the gene table. builds: the assemblies that it may be of, of `KNOWN`; without
    any, only the prefix chr and the names of the mitochondrial chromosome are understood.
    """

    def __init__(self, names: Iterable[str], builds: Iterable[str] = ()):
        self.names = sorted(set(names))
        candidates: dict[str, set[str]] = {}
        for name in self.names:
            for other in _synonyms(name, tuple(builds)):
                candidates.setdefault(other, set()).add(name)
        self._own = {other: own for other, (own, *more) in candidates.items() if not more}
        self._own |= {name: name for name in self.names}
        self._ucsc = {alias: name for build in builds for alias, name in _names_of(build).items()}

    def of(self, found: Iterable[str]) -> dict[str, str]:
        """Return the name in the gene table of those of the chromosomes found that are there."""
        return {name: self._own[name] for name in found if name in self._own}

    def one_name(self, name: str) -> str:
        """Return the one name of a chromosome: the gene table's, or UCSC's, or its own."""
        ucsc = self._ucsc.get(name, name)
        return self._own.get(name) or self._own.get(ucsc, ucsc)

    def by_one_name(self, values: Mapping[str, int]) -> dict[str, int]:
        """Return lengths, or positions, by `one_name` of the chromosomes that a file names."""
        return {self.one_name(name): value for name, value in values.items()}

    def by_any_name(self, values: Mapping[str, int]) -> dict[str, int]:
        """Return values by all names that files may use, where `values` has them by `one_name`."""
        names = {*values, *self._own, *self._ucsc}
        one = {name: self.one_name(name) for name in names}
        return {name: values[own] for name, own in one.items() if own in values}

    def check_table(self, genes_from: object) -> None:
        """Refuse a gene table that names one chromosome in two ways."""
        seen: dict[str, str] = {}
        for name in self.names:
            other = seen.setdefault(bare(name), name)
            if other != name:
                raise DeepChromeError(
                    f"{genes_from}: names one chromosome in two ways, {other} and {name}; "
                    "use one of them throughout"
                )

    def check(self, path: object, found: Iterable[str], genes_from: object) -> None:
        """Refuse a file that shares no chromosome with the gene table, or names one twice.

        found: all chromosomes of `path`. genes_from: names the gene table in the message.
        """
        found = list(found)
        own = self.of(found)
        if not own:
            raise DeepChromeError(
                f"{path}: no chromosome in common with the gene table: it has "
                f"{listing(sorted(found), 3) or 'none'}, {genes_from} has "
                f"{listing(self.names, 3)}; {_elsewhere(found)}"
            )
        seen: dict[str, str] = {}
        for name, of_table in own.items():
            other = seen.setdefault(of_table, name)
            if other != name:
                raise DeepChromeError(
                    f"{path}: has both {other} and {name}, two names of one chromosome "
                    f"({of_table} in {genes_from}); use one of them throughout"
                )


def _elsewhere(found: list[str]) -> str:
    builds = builds_with(found)
    if builds:
        return f"it names chromosomes of {listing(sorted(builds))}"
    return "are they of the same genome?"


def _synonyms(name: str, builds: tuple[str, ...]) -> set[str]:
    short = bare(name)
    found = set()
    for build in builds:
        names = _names_of(build)
        ucsc = names.get(name, names.get(short))
        if ucsc is not None:
            found |= {ucsc, *seqinfo(build).loc[ucsc, "aliases"]}
    if short not in MITOCHONDRIAL:
        found |= {short, f"chr{short}", f"Chr{short}", f"CHR{short}"}
    elif not builds:
        found |= {prefix + other for prefix in ("", "chr") for other in MITOCHONDRIAL}
    return found
