import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepchrome import MARKS
from deepchrome.figures import generated as figures
from deepchrome.interpretation.quality import Set

ALONG = "kb from the TSS, in the direction of transcription"
MEASURES = (
    "separability",
    "profile_correlation",
    "precision",
    "recall",
    "train_on_generated",
)


def examples(seed: int) -> Set:
    rng = np.random.default_rng(seed)
    y = np.array([1, 1, 0, 0], np.int8)
    X = rng.poisson(5 + 5 * y[:, None, None], (4, 100, 5)).astype(np.uint16)
    return Set(X, y, np.zeros(4, int), np.array([f"g{i}" for i in range(4)]))


MADE, REAL = examples(0), examples(1)


def test_training(drawn):
    curve = pd.DataFrame(
        {
            "step": [10, 20],
            "distance": [3.0, 1.0],
            "critic_gradient": [1.0, 2.0],
            "generator_gradient": [2.0, 1.0],
        }
    )
    figure = drawn(figures.training, "own data", curve)
    left, right = figure.panels
    assert figure.heading == "Training of the generator: own data"
    assert (left.x, left.y) == ("step", "distance as the critic sees it")
    assert (right.x, right.y) == ("step", "norm of the gradient")
    assert right.legend == ["critic", "generator"]


def test_means(drawn):
    figure = drawn(figures.means, "own data", MADE, REAL, "transcription")
    assert figure.heading == "What high and low genes look like, on average: own data"
    assert [one.title for one in figure.panels[:6]] == [
        f"{label}: {what}"
        for label in ("high", "low")
        for what in ("generated", "held-out genes", "generated - held-out")
    ]
    assert figure.panels[0].y_ticks == list(MARKS)
    assert {one.x for one in figure.panels[3:6]} == {ALONG}
    assert [one.y for one in figure.panels[6:]] == [
        "log(1 + reads)",
        "difference in log(1 + reads)",
    ]


def test_profiles(drawn):
    figure = drawn(figures.profiles, "own data", MADE, REAL, "genomic")
    assert figure.heading.startswith("Marks around the TSS: own data")
    assert figure.panels[0].y == "generated\nlog(1 + reads)"
    assert figure.panels[5].y == "held-out genes\nlog(1 + reads)"
    assert figure.panels[4].legend == ["high", "low"]


def test_genes(drawn):
    names = ["E003", "E116", "E003", "E116"]
    figure = drawn(figures.genes, "own data", MADE, REAL.X, names, "transcription")
    assert figure.heading == "Single genes, drawn at random: own data"
    assert [one.title for one in figure.panels[:2]] == [
        "generated",
        "nearest training gene, same label and cell type",
    ]
    assert figure.texts == ["high\nE003", "high\nE116", "low\nE003", "low\nE116"]
    assert {one.x for one in figure.panels[6:8]} == {ALONG}


def test_correlation(drawn):
    figure = drawn(figures.correlation, "own data", MADE.X, REAL.X)
    left, right, bar = figure.panels
    assert figure.heading == "Which marks go together: own data (log of each gene's sum)"
    assert (left.title, right.title) == ("generated", "held-out genes")
    assert left.x_ticks == right.x_ticks == left.y_ticks == list(MARKS)
    assert bar.y == "correlation over genes"
    assert len(figure.texts) == 50


def test_cells(drawn):
    signal = MADE.X.astype(np.float32)
    by_cell = {cell: [signal[:2], signal[2:]] for cell in ("E116", "mine", "E003")}
    figure = drawn(figures.cells, "own data", by_cell, "transcription")
    assert figure.heading == "Generated signals by cell type, means: own data"
    assert figure.texts == ["E003\nH1 Cells", "E116\nGM12878 Lymphoblas", "mine\n"]
    assert [one.title for one in figure.panels[:2]] == ["high, generated", "low, generated"]
    assert figure.panels[-1].y == "log(1 + signal)"


FRAMES = np.random.default_rng(2).random((5, 4, 100, 5))


def test_walk(drawn):
    figure = drawn(figures.walk, "own data", FRAMES, "E003", "transcription")
    assert figure.heading == "From low to high: four generated genes of E003, own data"
    assert [one.title for one in figure.panels[:5]] == ["low", "25%", "50%", "75%", "high"]
    assert figure.panels[0].y_ticks == list(MARKS)
    assert figure.panels[-1].y == "log(1 + what is expected)"


def test_animation(tmp_path):
    path = tmp_path / "walk.gif"
    figures.animation(path, "own data", FRAMES[:3], "E003", "transcription")
    with Image.open(path) as image:
        assert image.n_frames == 4  # there and back, the ends once
        assert image.info["duration"] == figures.MILLISECONDS
        assert image.info["loop"] == 0
        assert image.size == (720, 368)


def test_quality(drawn):
    measured = pd.DataFrame(
        {"measure": MEASURES, "value": 0.7, "gaussian": 0.9, "independent_bins": 0.8, "real": 0.5}
    )
    figure = drawn(figures.quality, "own data", measured)
    assert figure.heading == (
        "How far to trust generated signals: own data (dotted: real against real)"
    )
    assert figure.panels[0].title == "separability\n(AUROC of trees; 0.5: as real)"
    assert figure.panels[0].y_ticks == ["generator", "Gaussian", "independent bins", "real genes"]
    assert figure.texts == ["0.70", "0.90", "0.80", "0.50"] * 5


@pytest.mark.parametrize(
    ("name", "number"),
    {
        "means": "profile correlation",
        "profiles": "profile correlation",
        "genes": "nearest training gene ratio",
        "correlation": "correlation of marks",
        "quality": "separability",
    }.items(),
)
def test_in_words(name, number):
    text = getattr(figures, f"{name}_text")([(number, "0.7"), ("epochs", "3")])
    assert text.alt.endswith(f" In numbers: {number} 0.7.")
    assert text.caption


def test_in_words_without_numbers():
    assert figures.walk_text().alt.startswith("Filmstrip")
    assert "cell types side by side" in figures.cells_text().alt
    assert "Animation" in figures.animation_text().alt
