"""Which cell types to train on, for each cell type tested: the training sets of DeepChrome 2.0.

`inclusive_*` sets hold the test cell type itself, `exclusive_*` do not. `*_high` are the cell types
whose expression correlates most with its own, `*_somewhat` a wider band, `*_random` some at random,
`*_all` all. Random draws rank cell types by a hash of their names, so one more cell type leaves the
order of the others as it was.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepchrome.data import reference
from deepchrome.data.dataset import Dataset
from deepchrome.errors import DeepChromeError, listing
from deepchrome.params import TrainingSetsParams

KINDS = ("high", "somewhat", "random", "all")
SETS = ("own", *(f"inclusive_{kind}" for kind in KINDS), *(f"exclusive_{kind}" for kind in KINDS))
"""All training sets, in the order of figures and tables."""

ALL, AS_ONE = "all", "as one cell type"
"""How many training genes a point of the curve learns from: all of its cell types', or as many as
the cell type with the fewest has."""

AT_LEAST = {"high": 1, "somewhat": 2}
"""How many other cell types a set has, the nearest, where fewer reach its threshold."""


@dataclass(frozen=True)
class TrainingSet:
    """What to train on for one test cell type; cells are sorted."""

    name: str
    test_cell: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Draw:
    """Cell types drawn at random for a point of the curve, sorted, without the test cell type."""

    test_cell: str
    repeat: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """What is trained and tested: training sets, and draws for the curve.

    limits: for each draw how many examples its model sees at `AS_ONE`; None where that is all there
    are.
    """

    sets: Sequence[TrainingSet]
    limits: Mapping[Draw, int | None]

    @property
    def test_cells(self) -> list[str]:
        """The tested cell types."""
        return list(dict.fromkeys(one.test_cell for one in self.sets))

    def models(self, everyone: Sequence[str]) -> dict[str, tuple[tuple[str, ...], int | None]]:
        """Return by name each model to train, once: its cell types, and examples if limited.

        The model of `everyone` is among them.
        """
        unlimited = [one.cells for one in self.sets] + [one.cells for one in self.limits]
        found: dict[str, tuple[tuple[str, ...], int | None]]
        found = {name_of(one, None): (one, None) for one in (*unlimited, tuple(everyone))}
        return found | {name_of(one.cells, n): (one.cells, n) for one, n in self.limits.items()}

    def models_of_sets(self, cell: str) -> dict[str, str]:
        """Return the name of the model of each of a test cell type's training sets."""
        return {one.name: name_of(one.cells, None) for one in self.sets if one.test_cell == cell}

    def models_of_curve(self, cell: str) -> list[tuple[Draw, str, str]]:
        """Return a test cell type's draws, each at `ALL` and `AS_ONE`, with the models' names."""
        return [
            (draw, examples, name_of(draw.cells, n))
            for draw, limit in self.limits.items()
            for examples, n in ((ALL, None), (AS_ONE, limit))
            if draw.test_cell == cell
        ]

    def models_of(self, cell: str) -> list[str]:
        """Return the names of all models that a cell type is tested with, without repeats."""
        of_curve = [name for _, _, name in self.models_of_curve(cell)]
        return list(dict.fromkeys([*self.models_of_sets(cell).values(), *of_curve]))


def correlation(data: Dataset) -> pd.DataFrame:
    """Return Spearman's correlation of expression (log RPKM has the same), cell types x cell types.

    Over the training genes that both have. Raises DeepChromeError where there is no RPKM.
    """
    labels = data.labels[data.labels["gene_id"].map(data.genes["split"]).eq("train")]
    wide = labels.pivot(index="gene_id", columns="cell", values="rpkm")[data.cells]
    unknown = [cell for cell in data.cells if not wide[cell].notna().any()]
    if unknown:
        raise DeepChromeError(
            f"training_sets.sets: correlation compares cell types by expression, and {data.path} "
            f"has no RPKM of {listing(unknown)}; put Roadmap's expression table beside the raw "
            "data, or take the published sets with training_sets.sets: published"
        )
    found = wide.corr(method="spearman", min_periods=3)
    if found.isna().any(axis=None):
        row, column = np.argwhere(found.isna().to_numpy())[0]
        raise DeepChromeError(
            f"training_sets: the expression of {data.cells[row]} and {data.cells[column]} has no "
            "correlation: fewer than three training genes have RPKM in both, or one never varies; "
            "take the published sets with training_sets.sets: published"
        )
    return found


def by_correlation(
    test_cell: str, correlation: pd.DataFrame, params: TrainingSetsParams
) -> list[TrainingSet]:
    """Return a cell type's training sets; exclusive ones only where there are other cell types."""
    cells = sorted(correlation.index)
    others = correlation[test_cell].drop(test_cell)
    nearest = sorted(others.index, key=lambda cell: (-others[cell], cell))
    drawn = shuffled([cell for cell in cells if cell != test_cell], f"random/{test_cell}")
    size = min(params.random, max(2, len(cells) // 2))
    chosen = {}
    for kind in ("high", "somewhat"):
        reached = int((others >= getattr(params, kind)).sum())
        chosen[kind] = nearest[: max(reached, AT_LEAST[kind])]
    inclusive = chosen | {"random": drawn[: size - 1], "all": nearest}
    exclusive = chosen | {"random": drawn[:size], "all": nearest}
    sets = {"own": [test_cell]}
    sets |= {f"inclusive_{kind}": [test_cell, *inclusive[kind]] for kind in KINDS}
    sets |= {f"exclusive_{kind}": exclusive[kind] for kind in KINDS}
    return [TrainingSet(name, test_cell, tuple(sorted(sets[name]))) for name in SETS if sets[name]]


def published(test_cell: str, cells: Sequence[str]) -> list[TrainingSet]:
    """Return a cell type's published training sets, as far as their cell types are at hand.

    Sets none of whose cell types is at hand are left out, as are those that were published empty.
    """
    table = reference.published_training_sets()
    table = table[table["test_cell"] == test_cell].set_index("training_set")["train_cells"]
    lists = {name: names.split() for name, names in table.items()}
    lists |= {"own": [test_cell], "inclusive_all": list(cells)}
    found = []
    for name in SETS:
        here = tuple(sorted(set(lists.get(name, ())) & set(cells)))
        if here:
            found.append(TrainingSet(name, test_cell, here))
    return found


def curve_sizes(n_others: int) -> list[int]:
    """Return numbers of training cell types: 1, 2, 4, ... and all there are beside the tested."""
    return sorted({n_others, *(2**i for i in range(n_others.bit_length()))} - {0})


def draws(test_cells: Sequence[str], cells: Sequence[str], repeats: int) -> list[Draw]:
    """Return the curve's training sets: for each repeat nested, at every size of `curve_sizes`.

    None where there is only one cell type.
    All test cell types take theirs from one order of the cell types, so most share their sets.
    """
    orders = [shuffled(cells, f"curve/{repeat}") for repeat in range(repeats)]
    return [
        Draw(test_cell, repeat, tuple(sorted([one for one in order if one != test_cell][:size])))
        for test_cell in test_cells
        for repeat, order in enumerate(orders)
        for size in curve_sizes(len(cells) - 1)
    ]


def limited(cells: Sequence[str], sizes: Mapping[str, int], limit: int) -> int | None:
    """Return how many examples a model may see; None where that is all there are.

    sizes: training genes of each cell type.
    """
    return limit if sum(sizes[cell] for cell in cells) > limit else None


def members(sets: Iterable[TrainingSet], sizes: Mapping[str, int]) -> pd.DataFrame:
    """Return who is in each set: test_cell, training_set, n_cells, examples, train_cells."""
    return pd.DataFrame(
        [
            {
                "test_cell": one.test_cell,
                "training_set": one.name,
                "n_cells": len(one.cells),
                "examples": sum(sizes[cell] for cell in one.cells),
                "train_cells": " ".join(one.cells),
            }
            for one in sets
        ]
    )


def absent(sets: Iterable[TrainingSet], test_cells: Sequence[str]) -> dict[str, list[str]]:
    """Return which training sets some test cell types lack, and which cell types."""
    found = {(one.name, one.test_cell) for one in sets}
    lacking = {name: [cell for cell in test_cells if (name, cell) not in found] for name in SETS}
    return {name: cells for name, cells in lacking.items() if cells}


def shuffled(cells: Sequence[str], key: str) -> list[str]:
    """Return cell types in a random order that is the same for the same key."""
    return sorted(cells, key=lambda cell: hashlib.sha256(f"{key}/{cell}".encode()).digest())


def name_of(cells: Sequence[str], examples: int | None) -> str:
    """Name a model by what it learns from, so that the same training set is trained once.

    One cell type with all its genes has that cell type's own name, as in the train stage. Others
    are named by number of cell types, a hash of them, and number of examples if bounded.
    """
    if len(cells) == 1 and examples is None:
        return cells[0]
    digest = hashlib.sha256(" ".join(sorted(cells)).encode()).hexdigest()[:12]
    bound = "" if examples is None else f"-{examples}"
    return f"{len(cells)}-{digest}{bound}"
