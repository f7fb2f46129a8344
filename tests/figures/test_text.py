"""How words and numbers are written for people."""

import pandas as pd

from deepchrome.errors import joined
from deepchrome.figures.text import cited, count, interval, number, plain, rows, sentence, spoken


def test_numbers_as_people_read_them():
    assert number(-0.0004) == "0.000"
    assert number(-0.0014, sign=True) == "−0.001"
    assert number(0.5, sign=True) == "+0.500"
    assert number(None) == number(float("nan")) == "–"
    assert interval(-0.1, 0.2, 1, sign=True) == "−0.1 to +0.2"
    assert sentence("from -0.1 to 1e-3, E003-E123") == "from −0.1 to 1e-3, E003-E123."


def test_counts_names_and_lists():
    assert count(1, "gene") == "1 gene"
    assert count(1200, "gene") == "1,200 genes"
    assert count(2, "body", "bodies") == "2 bodies"
    assert spoken("more_data") == "more data"
    assert [joined(list(items)) for items in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_values_of_a_table_as_text():
    values = [None, True, -1200, 0.5, 0.00123, [1, 2.5], "a"]
    assert [plain(one) for one in values] == [
        "–",
        "yes",
        "−1,200",
        "0.500",
        "0.00123",
        "1, 2.500",
        "a",
    ]
    table = pd.DataFrame({"name": ["a", None], "n": [1000, 2], "x": [0.5, float("nan")]})
    assert rows(table) == [["a", "1,000", "0.500"], ["", "2", "–"]]


def test_only_the_numbers_asked_for_are_cited():
    numbers = [("attribution sum error", "0.001"), ("epochs", "12")]
    assert cited(numbers, "sum") == " In numbers: attribution sum error 0.001."
    assert cited(numbers, "occlusion") == ""
