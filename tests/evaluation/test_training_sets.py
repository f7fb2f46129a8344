"""Training sets: who is in them, and how they are named."""

from itertools import pairwise

import pandas as pd

from conftest import REAL, needs_real
from deepchrome.data import reference
from deepchrome.evaluation.training_sets import (
    AS_ONE,
    SETS,
    Design,
    by_correlation,
    curve_sizes,
    draws,
    limited,
    name_of,
    published,
)
from deepchrome.params import TrainingSetsParams

CHOSEN = TrainingSetsParams(
    model="linear", cells="all", sets="correlation", high=0.8, somewhat=0.5, random=3, repeats=2
)
CELLS = ["A", "B", "C", "D", "E", "F"]


def similar(values):
    """Correlations of A with the others, in order."""
    table = pd.DataFrame(0.1, CELLS, CELLS)
    table.loc["A", CELLS[1:]] = values
    table.loc[CELLS[1:], "A"] = values
    return table


def sets_of(values, chosen=CHOSEN):
    return {one.name: set(one.cells) for one in by_correlation("A", similar(values), chosen)}


def test_sets_by_correlation():
    found = sets_of([0.9, 0.85, 0.6, 0.4, 0.2])
    assert list(found) == list(SETS)
    assert found["own"] == {"A"}
    assert found["exclusive_high"] == {"B", "C"}
    assert found["exclusive_somewhat"] == {"B", "C", "D"}
    assert found["exclusive_all"] == {"B", "C", "D", "E", "F"}
    assert len(found["exclusive_random"]) == 3
    for kind in ("high", "somewhat", "all"):
        assert found[f"inclusive_{kind}"] == found[f"exclusive_{kind}"] | {"A"}
    assert "A" in found["inclusive_random"]
    assert len(found["inclusive_random"]) == 3
    assert all("A" not in cells for name, cells in found.items() if name.startswith("ex"))


def test_sets_are_never_empty_where_nothing_correlates():
    found = sets_of([0.3, 0.2, 0.1, 0.1, 0.1])
    assert found["exclusive_high"] == {"B"}
    assert found["exclusive_somewhat"] == {"B", "C"}


def test_a_cell_type_more_leaves_the_order_of_random_draws():
    few = [d.cells for d in draws(["A"], ["A", "B", "C"], 3) if len(d.cells) == 2]
    more = [d.cells for d in draws(["A"], ["A", "B", "C", "D"], 3) if len(d.cells) == 3]
    assert all(set(a) <= set(b) for a, b in zip(few, more, strict=True))


def test_the_curve_is_nested_and_exclusive():
    assert curve_sizes(7) == [1, 2, 4, 7]
    assert curve_sizes(1) == [1]
    for repeat in range(2):
        mine = [set(d.cells) for d in draws(["C"], CELLS, 2) if d.repeat == repeat]
        assert [len(cells) for cells in mine] == [1, 2, 4, 5]
        assert all(a < b for a, b in pairwise(mine))
        assert "C" not in mine[-1]


def test_names_tell_training_sets_apart():
    assert name_of(["A"], None) == "A"
    assert name_of(["A", "B"], None) == name_of(["B", "A"], None)
    names = {name_of(c, n) for c in (["A"], ["A", "B"], ["A", "C"]) for n in (None, 10)}
    assert len(names) == 6


def test_published_sets_as_far_as_at_hand():
    cells = ["E003", "E004", "E016", "E123"]
    found = {one.name: set(one.cells) for one in published("E003", cells)}
    assert found["own"] == {"E003"}
    assert found["inclusive_all"] == set(cells)
    assert found["exclusive_all"] == set(cells) - {"E003"}
    assert all("E003" not in c for name, c in found.items() if name.startswith("exclusive"))


@needs_real
def test_the_published_sets_follow_a_table_shifted_by_a_column():
    """What docs/training_sets.md says: read as pandas does by default, the table gives all sets."""
    path = REAL / "57epigenomes.RPKM.pc.gz"
    shifted = pd.read_csv(path, sep="\t")
    assert shifted["E128"].isna().all()
    right = pd.read_csv(path, sep="\t", index_col=False)
    cells = list(right.columns[2:-1])
    of_shifted, of_right = (table[:6601][cells].corr() for table in (shifted, right))
    table = reference.published_training_sets()
    belong, members = {}, {}
    for kind, threshold in (("high", 0.75), ("somewhat", 0.5)):
        for one in table[table["training_set"].str.endswith(kind)].itertuples():
            reached = of_shifted.index[of_shifted[one.test_cell] > threshold]
            own = {one.test_cell} if one.training_set.startswith("inclusive") else set()
            found = set(one.train_cells.split())
            assert found == set(reached) - {one.test_cell} | own
            if not own:
                near = of_right.index[of_right[one.test_cell] > threshold]
                belong[kind] = belong.get(kind, 0) + len(found & set(near))
                members[kind] = members.get(kind, 0) + len(found)
    assert (belong, members) == ({"high": 24, "somewhat": 384}, {"high": 120, "somewhat": 886})


def test_as_many_examples_as_the_smallest_cell_type_has():
    sizes = {"A": 50, "B": 30}
    assert limited(("A",), sizes, 30) == 30
    assert limited(("B",), sizes, 30) is None
    assert limited(("A", "B"), sizes, 30) == 30


def test_a_design_trains_each_model_once():
    sets = [one for cell in CELLS for one in by_correlation(cell, similar([0.9] * 5), CHOSEN)]
    limits = {
        one: limited(one.cells, dict.fromkeys(CELLS, 40), 40) for one in draws(CELLS, CELLS, 2)
    }
    design = Design(sets, limits)
    assert design.test_cells == CELLS
    models = design.models(CELLS)
    assert name_of(CELLS, None) in models
    trained = list(models.values())
    assert len(set(trained)) == len(trained)
    for cell in CELLS:
        names = design.models_of(cell)
        assert set(names) <= set(models)
        assert len(set(names)) == len(names)
        assert set(design.models_of_sets(cell)) == set(SETS)
        for draw, examples, name in design.models_of_curve(cell):
            cells, limit = models[name]
            assert cells == draw.cells
            assert limit == (40 if examples == AS_ONE and len(cells) > 1 else None)


def test_a_single_cell_type_has_no_curve():
    assert draws(["A"], ["A"], 3) == []
