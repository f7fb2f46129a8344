"""Published AUROCs, to put beside ours.

All were trained and tested on the archive's labels, which are wrong for 49 of 56 cell types
(docs/labels.md). Ours compare with them where the cell types have those same labels; `beside` says
where they do not. Sources: `reference`.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from deepchrome.data import reference
from deepchrome.data.dataset import Dataset

NOT_COMPARABLE = (
    "published scores are on labels that compare RPKM as text, wrong for 49 of 56 cell types; "
    "ours are on corrected ones"
)

MATRIX_SOURCE = "DeepChrome 2.0 CNN avg-pool"
"""What DeepChrome 2.0 trained for its cross-cell matrix and its training sets."""

_TRAINING_SET = "DeepChrome 2.0 training set: "


def counterparts(model: dict[str, Any]) -> list[str]:
    """Return the published sources of the same architecture, nearest first; none for a new one.

    model: as in model.json: architecture, options, preprocessing.
    """
    match model["architecture"]:
        case "deepchrome":
            if model["options"].get("stride", 1) != 1:
                return ["DeepChrome 2.0 CNN strided"]
            if model["options"].get("pooling", "max") != "max":
                return ["DeepChrome 2.0 CNN avg-pool"]
            return ["DeepChrome 2.0 CNN max-pool", "DeepChrome 2016 CNN"]
        case "fully_connected":
            return ["DeepChrome 2.0 fully connected"]
        case "linear":
            return [f"DeepChrome 2.0 linear {model['preprocessing']['reduce']} (best of 5 seeds)"]
        case "attentive":
            return ["AttentiveChrome (rerun 2021)"]
        case "transformer":
            return ["TransformChrome 2021"]
    return []


def within(model: dict[str, Any]) -> pd.DataFrame:
    """Return the AUROC of each cell type's own model: source, same_architecture, cell, published.

    Sources in which the architecture is the same come first.
    """
    table = reference.published_auroc()
    table = table[~table["source"].str.startswith(_TRAINING_SET)]
    first = counterparts(model)
    order = first + [source for source in table["source"].unique() if source not in first]
    return (
        table.assign(same_architecture=table["source"].isin(first))
        .sort_values("source", key=lambda names: names.map(order.index), kind="stable")
        .rename(columns={"auroc": "published"})
        .reset_index(drop=True)[["source", "same_architecture", "cell", "published"]]
    )


def matrix() -> pd.DataFrame:
    """Return the published cross-cell matrix: source, train_cell, test_cell, published.

    Off the diagonal; on it, the source's own models.
    """
    own = reference.published_auroc()
    own = own[own["source"] == MATRIX_SOURCE].rename(columns={"cell": "test_cell"})
    table = pd.concat(
        [reference.published_cross_cell(), own.assign(train_cell=own["test_cell"])]
    ).assign(source=MATRIX_SOURCE)
    return table.rename(columns={"auroc": "published"}).reset_index(drop=True)[
        ["source", "train_cell", "test_cell", "published"]
    ]


def training_sets() -> pd.DataFrame:
    """Return AUROCs by training set: source, training_set, test_cell, train_cells, published.

    training_set: "own", and those of `reference.published_training_sets`. train_cells: ids
    separated by spaces; those of `inclusive_all` are all 56.
    """
    table = reference.published_auroc()
    chosen = table[
        table["source"].str.startswith(_TRAINING_SET) | (table["source"] == MATRIX_SOURCE)
    ]
    chosen = chosen.rename(columns={"cell": "test_cell", "auroc": "published"})
    chosen["training_set"] = (
        chosen["source"].str.removeprefix(_TRAINING_SET).replace(MATRIX_SOURCE, "own")
    )
    chosen = chosen.merge(
        reference.published_training_sets(), "left", on=["training_set", "test_cell"]
    )
    everything = " ".join(reference.cell_types().index)
    of_all = chosen["training_set"] == "inclusive_all"
    chosen.loc[of_all, "train_cells"] = everything
    chosen["train_cells"] = chosen["train_cells"].fillna(chosen["test_cell"])
    return chosen.assign(source=MATRIX_SOURCE)[
        ["source", "training_set", "test_cell", "train_cells", "published"]
    ]


def beside(data: Dataset, ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame | None:
    """Put published AUROCs beside ours; None unless the data are Roadmap's and some are of both.

    ours: `auroc` and the columns by which to join: cell, or train_cell and test_cell, or
    training_set and test_cell. published: of this module. Adds ours, difference (ours - published),
    comparable and, where it is not, reason.
    """
    if data.info["source"] != "roadmap":
        return None
    keys = [name for name in ours.columns if name in published.columns]
    table = published.merge(ours.rename(columns={"auroc": "ours"}), on=keys)
    if table.empty:
        return None
    used = [name for name in _CELLS if name in table.columns]
    same = same_labels(data)
    comparable = [same.issuperset(_ids(row)) for row in table[used].to_numpy()]
    table["difference"] = table["ours"] - table["published"]
    table["comparable"] = comparable
    table["reason"] = ["" if yes else NOT_COMPARABLE for yes in comparable]
    return table


def describe(table: pd.DataFrame) -> str:
    """Say in a line how ours compare with the first source of `beside`."""
    table = table[table["source"] == table["source"].iloc[0]]
    shown = table[table["comparable"]]
    said = f"published {table['source'].iloc[0]}: "
    if len(shown):
        said += (
            f"mean {shown['published'].mean():.3f}, ours {shown['ours'].mean():.3f} "
            f"({len(shown):,} comparable)"
        )
    left = len(table) - len(shown)
    return said + (
        f"{'; ' if len(shown) else ''}{left:,} not comparable: {NOT_COMPARABLE}" if left else ""
    )


_CELLS = ("cell", "test_cell", "train_cell", "train_cells")


def _ids(names: Iterable[str]) -> list[str]:
    return [cell for name in names for cell in name.split()]


def same_labels(data: Dataset) -> set[str]:
    """Return the cell types of the dataset all of whose labels are those of the archive."""
    same = data.labels["label"] == data.labels["published_label"]
    by_cell = same.groupby(data.labels["cell"]).all()
    return set(by_cell.index[by_cell])
