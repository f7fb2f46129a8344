"""Small tables that come with the package.

`cell_types.csv`: the 56 Roadmap epigenomes (Roadmap Epigenomics data portal): name, lineage group,
the group's published colour, consolidated reads per mark. `genes.tsv.gz`: the 19,795 protein-coding
genes of GENCODE v10 (hg19) in the published order, seven of them twice, with the published split
(DEIB-GECO/ShallowChrome).

Results of others, all on the published labels, which are wrong for 49 of 56 cell types
(docs/labels.md), so comparable only with a run under `data.labels: published`:
`published_auroc.csv`: test AUROC of 21 models and training sets. `published_cross_cell.csv`: the
cross-cell matrix of DeepChrome 2.0. `published_training_sets.csv`: which cell types each of its
training sets held. DeepChrome 2.0: ssss1029/gene_expression_294. TransformChrome and the reruns of
2021: gzerveas/TransformChrome (MIT). DeepChrome 2016: its scores in DEIB-GECO/ShallowChrome (MIT).
"""

from functools import cache
from importlib.resources import as_file, files

import numpy as np
import pandas as pd

EXPRESSION_FILE = "57epigenomes.RPKM.pc.gz"
"""Roadmap's expression table, which is not in the package, as its data portal names it."""

UNRELATED_GROUPS = ("Other", "ENCODE2012")
"""Groups of `cell_types` that are names of collections, not lineages."""

UNKNOWN_COLOR = "#666666"
"""The colour of a cell type that Roadmap does not have."""


def _read(name: str, **options: object) -> pd.DataFrame:
    with as_file(files(__package__) / name) as path:
        return pd.read_csv(path, **options)


@cache
def cell_types() -> pd.DataFrame:
    """Roadmap's 56 cell types, indexed by `eid`: group, color, mnemonic, name, reads_<mark>, ..."""
    return _read("cell_types.csv").set_index("eid")


def lineage(cells: list[str]) -> pd.DataFrame:
    """Return group, color and name of each cell type, ordered by lineage, then by id.

    Indexed by cell type, which is also the column `cell`. group and name of one that Roadmap does
    not have are empty.
    """
    known = cell_types().reindex(cells)[["group", "color", "name", "order"]]
    known["color"] = known["color"].fillna(UNKNOWN_COLOR)
    known[["group", "name"]] = known[["group", "name"]].fillna("")
    first = known.groupby("group")["order"].transform("min")
    return known.assign(first=first, cell=known.index).sort_values(["first", "group", "cell"])


def lineages(cells: list[str]) -> np.ndarray:
    """Return the lineage of each cell type, in the order given; its own name where none is known.

    A group of Roadmap that is only the name of a collection is no lineage.
    """
    group = cell_types()["group"].reindex(cells)
    known = group.notna() & ~group.isin(UNRELATED_GROUPS)
    return group.where(known, pd.Series(cells, cells)).to_numpy(object)


@cache
def genes() -> pd.DataFrame:
    """All 19,802 rows of the published gene list.

    Columns: gene_id, symbol, chrom, tss, strand, published_split.
    """
    return _read("genes.tsv.gz", sep="\t")


@cache
def published_auroc() -> pd.DataFrame:
    """Return test AUROCs that others published, on the published labels: source, cell, auroc.

    `source` names the model: "DeepChrome 2016 CNN" (Singh et al. 2016; as listed in
    DEIB-GECO/ShallowChrome), "TransformChrome 2021", "AttentiveChrome (rerun 2021)" and "MLP (rerun
    2021)" (gzerveas/TransformChrome), or "DeepChrome 2.0 ..." (ssss1029/gene_expression_294), where
    "training set: ..." is one of `published_training_sets`. Linear models are the best of 5 seeds
    by validation, the CNNs a single run; not every source has every cell type.
    """
    return _read("published_auroc.csv")


@cache
def published_cross_cell() -> pd.DataFrame:
    """Return the cross-cell AUROC of DeepChrome 2.0: train_cell, test_cell, auroc.

    55 cell types, each tested on the 54 others (ssss1029/gene_expression_294), on the published
    labels.
    """
    return _read("published_cross_cell.csv")


@cache
def published_training_sets() -> pd.DataFrame:
    """Return the training sets of DeepChrome 2.0: training_set, test_cell, train_cells.

    `train_cells` are ids separated by spaces (ssss1029/gene_expression_294), empty where no cell
    type fits. Half of the sets lack E128.
    """
    return _read("published_training_sets.csv", keep_default_na=False)
