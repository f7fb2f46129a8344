"""Which genes a model learns from, stops by and is tested on; the same in every cell type."""

import hashlib

import numpy as np
import pandas as pd

from deepchrome import BIN_WIDTH, N_BINS, SPLITS
from deepchrome.errors import DeepChromeError, listing


def random_split(gene_id: np.ndarray, seed: int) -> np.ndarray:
    """Return a third of the genes to each split, by a hash of seed and gene id.

    A gene's split does not depend on which other genes there are.
    """
    digests = (hashlib.sha256(f"{seed}:{gene}".encode()).digest() for gene in gene_id)
    return np.array([SPLITS[int.from_bytes(d[:8], "big") % len(SPLITS)] for d in digests], object)


def chromosome_split(chrom: pd.Series, seed: int) -> np.ndarray:
    """Return a split that holds whole chromosomes out, so that neighbouring genes do not leak.

    chrom: the chromosome of each gene, indexed by gene_id. Chromosomes are dealt in a seeded order,
    each to the split with the fewest genes so far: about a third each.
    Raises DeepChromeError where a chromosome is not known or there are fewer than three.
    """
    unknown = chrom.index[chrom.isna()]
    if len(unknown):
        raise DeepChromeError(
            f"data.split: chromosome: the chromosome of gene {listing(unknown)} is not known; "
            "give a gene table that has it (data.genes)"
        )
    sizes = chrom.value_counts().sort_index()
    if len(sizes) < len(SPLITS):
        raise DeepChromeError(
            f"data.split: chromosome: found {len(sizes)} chromosomes, expected at least 3"
        )
    dealt = np.random.default_rng(seed).permutation(len(sizes))
    # large ones first, in seeded order within a factor of two of size, so that thirds come out even
    order = sorted(dealt, key=lambda i: -int(np.log2(sizes.iloc[i])))
    filled = dict.fromkeys(SPLITS, 0)
    split_of = {}
    for i in order:
        split = min(filled, key=filled.__getitem__)
        split_of[sizes.index[i]] = split
        filled[split] += int(sizes.iloc[i])
    return chrom.map(split_of).to_numpy(object)


def published_split(raw: str, splits: dict[str, pd.Series]) -> pd.Series:
    """Return the files' own split of every gene; it must be the same in every cell type.

    splits: of each cell type, by gene_id. raw: names the raw directory in messages.
    """
    split = pd.concat(
        [
            pd.DataFrame({"gene_id": there.index, "split": there.to_numpy(), "cell": cell})
            for cell, there in splits.items()
        ]
    ).drop_duplicates(["gene_id", "split"])
    moved = split[split["gene_id"].duplicated(keep=False)].sort_values("gene_id")
    if len(moved):
        first, second = moved.iloc[0], moved.iloc[1]
        raise DeepChromeError(
            f"{raw}: gene {first['gene_id']} is in {first['split']}.csv of {first['cell']} "
            f"and in {second['split']}.csv of {second['cell']}; a gene belongs to one split, the "
            f"same in every cell type ({moved['gene_id'].nunique():,} such genes)"
        )
    return split.set_index("gene_id")["split"]


def split_genes(
    chrom: pd.Series, rule: str, seed: int, raw: str, splits: dict[str, pd.Series]
) -> np.ndarray:
    """Return the split of every gene by a rule: "random", "chromosome" or "published".

    chrom: the chromosome of each gene, indexed by gene_id. seed: of the first two rules. raw,
    splits: of the last (`published_split`). Raises DeepChromeError where a split has no gene.
    """
    if rule == "random":
        split = random_split(chrom.index.to_numpy(), seed)
    elif rule == "chromosome":
        split = chromosome_split(chrom, seed)
    else:
        split = published_split(raw, splits).reindex(chrom.index).to_numpy(object)
    absent = set(SPLITS) - set(split)
    if absent:
        raise DeepChromeError(f"{raw}: no gene in the {listing(sorted(absent))} split")
    return split


def overlapping_training(genes: pd.DataFrame) -> pd.Index:
    """Return the test genes whose window overlaps that of a training gene.

    Part of their signal was seen in training. genes: chrom, tss and split, indexed by gene_id, as
    in a dataset's genes.parquet; genes without a known place count as not overlapping.
    """
    window = N_BINS * BIN_WIDTH
    found = []
    known = genes.dropna(subset=["chrom", "tss"])
    for _, there in known.groupby("chrom"):
        train = np.sort(there.loc[there["split"] == "train", "tss"].to_numpy(np.int64))
        test = there.loc[there["split"] == "test", "tss"].astype(np.int64)
        first = np.searchsorted(train, test - window, side="right")
        last = np.searchsorted(train, test + window, side="left")
        found.append(test.index[first < last])
    return found[0].append(found[1:]) if found else pd.Index([])
