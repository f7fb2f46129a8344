"""The gene table of a dataset: where the genes of all parts of its raw data lie."""

import itertools

import pandas as pd

from deepchrome import BIN_WIDTH, N_BINS
from deepchrome.data.sources.chromosomes import Naming
from deepchrome.errors import DeepChromeError

MOVED = 0.25
"""Annotations of one assembly move the TSS of few genes by half a window; assemblies, of most."""


def joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return symbol, chrom, tss, strand and truncated of every gene, by gene_id, sorted.

    tables: with these columns, by gene_id, one for each part. A gene that several parts have is one
    gene, with the place that the first part gives it; chromosomes are named as there.
    """
    genes = tables[0]
    for further in tables[1:]:
        further = further.assign(chrom=_named_alike(further["chrom"], genes["chrom"]))
        truncated = _flagged(genes["truncated"], further["truncated"])
        genes = genes.combine_first(further).assign(truncated=truncated)
    genes = genes.sort_index().rename_axis("gene_id")
    genes = genes[["symbol", "chrom", "tss", "strand", "truncated"]]
    genes["tss"] = genes["tss"].astype("Int64")
    genes["truncated"] = genes["truncated"].astype("boolean")
    return genes


def moved(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Return warnings of genes that several parts have, but at different places.

    tables: as of `joined`, by the path of the part. Raises DeepChromeError where so many lie
    elsewhere that the parts must be of different assemblies.
    """
    warnings = []
    for (one, first), (other, second) in itertools.combinations(tables.items(), 2):
        both = first.index.intersection(second.index)
        here, there = first.loc[both], second.loc[both]
        known = (here["tss"].notna() & there["tss"].notna()).to_numpy()
        here, there = here[known], there[known]
        apart = (here["tss"] - there["tss"]).abs() > N_BINS * BIN_WIDTH // 2
        apart |= _named_alike(there["chrom"], here["chrom"]) != here["chrom"]
        if not apart.any():
            continue
        gene = apart.index[apart][0]
        places = (f"{t.loc[gene, 'chrom']}:{int(t.loc[gene, 'tss']):,}" for t in (here, there))
        found = (
            f"{int(apart.sum()):,} of the {len(apart):,} genes that {one} and {other} share lie "
            f"elsewhere in the second ({gene}: {', '.join(places)})"
        )
        if apart.mean() > MOVED:
            raise DeepChromeError(
                f"{found}: are they of different assemblies? Give both parts one gene table, and "
                "reads of its assembly"
            )
        warnings.append(f"{found}; genes.parquet gives the place in the first")
    return warnings


def _named_alike(chrom: pd.Series, like: pd.Series) -> pd.Series:
    """Return chromosome names as `like` writes them, where it has the chromosome."""
    own = Naming(like.dropna()).of(chrom.dropna().unique())
    return chrom.replace(own)


def _flagged(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return whether a window is truncated in either; null where neither knows."""
    both = pd.concat([first, second], axis=1).astype("boolean")
    return both.any(axis=1).astype("boolean").mask(both.isna().all(axis=1))
