import pandas as pd

from deepchrome.figures.published import published_beside_ours, published_text

TABLE = pd.DataFrame(
    {
        "source": ["CNN", "CNN", "MLP"],
        "cell": ["E003", "E116", "E003"],
        "published": [0.7, 0.9, 0.8],
        "ours": [0.88, 0.91, 0.88],
        "difference": [0.18, 0.01, 0.08],
        "comparable": [False, True, True],
        "reason": ["text labels", "", ""],
    }
)


def test_of_cell_types(drawn):
    figure = drawn(published_beside_ours, "linear, own data", TABLE)
    assert figure.heading == (
        "Published beside ours: linear, own data\nhollow, grey: not comparable; text labels"
    )
    left, right = figure.panels
    assert (left.x, left.y) == ("published AUROC: CNN", "our AUROC")
    assert right.x == "ours - published"
    assert right.y_ticks == ["E003  H1 Cells", "E116  GM12878 Lymphoblastoid Cells"]
    assert right.legend == []


def test_several_of_a_cell_type_have_a_mean(drawn):
    table = pd.DataFrame(
        {
            "source": "CNN",
            "train_cell": ["E003", "E116"],
            "test_cell": "E003",
            "published": [0.8, 0.9],
            "ours": [0.81, 0.89],
            "difference": [0.01, -0.01],
            "comparable": True,
            "reason": "",
        }
    )
    figure = drawn(published_beside_ours, "a", table)
    assert figure.heading == "Published beside ours: a"
    assert figure.panels[1].legend == ["mean"]


def test_in_words():
    text = published_text(TABLE, "Beside others.")
    assert "2 pairs, 1 of them comparable" in text.alt
    assert "from +0.010 to +0.180, mean +0.095. Beside others." in text.alt
    assert "Hollow grey: not comparable" in text.caption
