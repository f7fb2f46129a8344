import numpy as np
import pandas as pd
import pytest

from deepchrome import MARKS
from deepchrome.figures import interpretation as figures

ALONG = "kb from the TSS, in the direction of transcription"


def maps(*methods: str) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return {name: {label: rng.random((100, 5)) for label in ("high", "low")} for name in methods}


@pytest.mark.parametrize("cells", [["E003"], ["E116", "E003"]])
def test_attribution(drawn, cells):
    by_cell = {cell: np.ones((100, 5)) for cell in cells}
    figure = drawn(figures.attribution, "linear, own data", by_cell, "transcription", "\nnote")
    assert figure.heading.startswith(
        "What makes high genes high: attribution, linear, own data\n"
        "(the lack of a repressive mark counts towards high, too"
    )
    assert figure.heading.endswith(")\nnote")
    *small, top, bar = figure.panels
    assert (top.x, top.y_ticks) == (ALONG, list(MARKS))
    assert top.title == ("mean over cell types" if len(cells) > 1 else "E003")
    assert bar.y == "log-odds a bin\nred: towards high"
    assert [one.title for one in small] == (
        ["E003 H1 Cells", "E116 GM12878 Lymphoblasto"] if len(cells) > 1 else []
    )


def test_occlusion(drawn):
    lost = pd.DataFrame(
        [
            {"mark": mark, "cell": cell, "auroc_lost": 0.01}
            for mark in MARKS
            for cell in ("E003", "E116")
        ]
    )
    figure = drawn(figures.occlusion, "linear, own data", np.ones((10, 5)), lost, "genomic")
    left, right, bar = figure.panels
    assert figure.heading.startswith("Occlusion: linear, own data\n(replaced by the same part")
    assert (left.title, left.x) == (
        "one kilobase of a mark replaced",
        "kb from the TSS, genomic direction",
    )
    assert left.y_ticks == list(MARKS)
    assert (right.title, right.x) == ("a whole mark replaced", "AUROC lost")
    assert bar.y == "log-odds per SD of\nthe signal; red: up"


@pytest.mark.parametrize(
    "methods", [("unconstrained", "genes"), ("unconstrained", "generator", "genes")]
)
def test_maximisation(drawn, methods):
    found = pd.DataFrame(
        [
            {"method": method, "class": label, "log_odds": 2.0, "reads": 0.5, "likeness": 0.25}
            | {f"active_{mark}": 10 for mark in MARKS}
            for method in methods
            for label in ("high", "low")
        ]
    )
    figure = drawn(figures.maximisation, "linear, own data", maps(*methods), found, "transcription")
    titles = [one.title for one in figure.panels]
    assert "high: optimised freely (2016)\nlog-odds +2.0, 50% of the reads, r = 0.25" in titles
    assert "low: mean of training genes\nlog-odds +2.0" in titles
    assert any("among the generator's signals" in one for one in titles) == (len(methods) > 2)
    assert titles[2] == "active bins of each mark"
    assert figure.panels[2].legend == ["high", "low"]
    assert figure.heading.startswith("What the model takes for the most high and the most low: ")
    assert figure.panels[3 * len(methods) - 1].x == "bins above 25% of\nthe map's maximum"


def test_attention(drawn):
    bins = {label: np.full((100, 5), 0.01) for label in ("high", "low")}
    marks = {label: np.full(5, 0.2) for label in ("high", "low")}
    figure = drawn(figures.attention, "attentive, own data", bins, marks, "genomic")
    high, low, shares, bar = figure.panels
    assert figure.heading == (
        "Where the model looks: attention, attentive, own data (mean over cell types)"
    )
    assert (high.title, low.title) == ("bins, high genes", "bins, low genes")
    assert high.y_ticks == list(MARKS)
    assert (shares.title, shares.x) == ("marks", "share (dotted: even)")
    assert shares.legend == ["high", "low"]
    assert bar.y == "attention, times\nthe mean"


MARKS_TABLE = pd.DataFrame(
    {
        "mark": MARKS,
        "sign": ["down", "up", "unclear", "up", "down"],
        "same_sign": [1.0, 1.0, 0.5, 1.0, 1.0],
        "from_kb": [0.0, 2.7, 2.3, 0.0, 0.0],
        "place": ["all along", "2.7 to 4.2 kb either side", "–", "within 0.7 kb", "all along"],
        "attribution": [-0.9, 0.6, 0.1, 1.4, -0.5],
        "occlusion": [-0.9, 0.7, 0.1, 1.5, -0.5],
        "linear": [-0.8, 0.7, -0.1, 1.6, -0.4],
        "generator": float("nan"),
        "genes": [-0.5, 0.8, 0.6, 1.1, -0.3],
        "methods": 3,
        "agree": [3, 3, 2, 3, 3],
    }
)


@pytest.mark.parametrize("with_generator", [False, True])
def test_code(drawn, with_generator):
    profile = np.ones((100, 5))
    generated = profile if with_generator else None
    table = MARKS_TABLE.assign(generator=0.5) if with_generator else MARKS_TABLE
    figure = drawn(figures.code, "linear, own data", table, profile, generated, "transcription")
    assert figure.heading == (
        "The code of histones: linear, own data\n"
        "(red: up, blue: down, each mark in its own range; agree: methods with the same sign)"
    )
    first, *_, last = figure.panels
    assert first.title == "where more of it moves\nthe prediction (attribution)"
    assert len(figure.panels) == (3 if with_generator else 2)
    assert (last.title, last.x) == (
        "effect of more of the mark,\nby method",
        "as a share of the method's strongest",
    )
    assert last.x_ticks == ["lower", "0", "higher"]
    assert figure.texts.count("3 of 3") == 4
    assert {"▲", "▼", "?", *MARKS, "within 0.7 kb", "agree"} <= set(figure.texts)
    assert ("generator, high - low" in figure.legend) == with_generator


def test_in_words():
    numbers = [
        ("attribution sum error", "0.001"),
        ("occlusion rank", "0.9"),
        ("maximisation likeness", "0.2"),
        ("attention entropy", "1.5"),
        ("epochs", "3"),
    ]
    for name, cited in {
        "attribution": "attribution sum error 0.001",
        "occlusion": "occlusion rank 0.9",
        "maximisation": "maximisation likeness 0.2",
        "attention": "attention entropy 1.5",
    }.items():
        text = getattr(figures, f"{name}_text")(numbers)
        assert text.alt.endswith(f" In numbers: {cited}.")
        assert text.caption
    alt = figures.code_text(MARKS_TABLE).alt
    assert "H3K27me3: sign down, same sign 1.000, from kb 0.000;" in alt
    assert figures.code_text(None).alt.endswith("effect on the prediction.")
