"""Lineages of cell types, known to Roadmap or not."""

from deepchrome.data import reference

CELLS = ["mine", "E123", "E003", "E016"]


def test_cell_types_stand_beside_their_relatives():
    table = reference.lineage(CELLS)
    assert list(table.index) == list(table["cell"])
    assert sorted(table.index) == sorted(CELLS)
    order = list(table.index)
    assert abs(order.index("E003") - order.index("E016")) == 1  # both ESC
    assert table.loc["E003", "group"] == "ESC"
    assert table.loc["E003", "color"] == table.loc["E016", "color"] != reference.UNKNOWN_COLOR


def test_an_unknown_cell_type_has_no_lineage_but_a_colour():
    table = reference.lineage(CELLS)
    assert table.loc["mine", ["group", "name", "color"]].tolist() == [
        "",
        "",
        reference.UNKNOWN_COLOR,
    ]


def test_a_collection_is_no_lineage():
    assert reference.cell_types()["group"]["E123"] in reference.UNRELATED_GROUPS
    assert reference.lineages(CELLS).tolist() == ["mine", "E123", "ESC", "ESC"]
