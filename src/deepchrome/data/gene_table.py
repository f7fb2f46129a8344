"""The gene table of a dataset: where the genes of all parts of its raw data lie."""

import pandas as pd


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


def _named_alike(chrom: pd.Series, like: pd.Series) -> pd.Series:
    """Return chromosome names in the style of `like`: chr1 or 1."""
    with_chr = like.dropna().str.startswith("chr").any()
    bare = chrom.str.removeprefix("chr")
    if with_chr == chrom.dropna().str.startswith("chr").any() or not like.notna().any():
        return chrom
    return "chr" + bare.replace("MT", "M") if with_chr else bare.replace("M", "MT")


def _flagged(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return whether a window is truncated in either; null where neither knows."""
    both = pd.concat([first, second], axis=1).astype("boolean")
    return both.any(axis=1).astype("boolean").mask(both.isna().all(axis=1))
