"""The frame of every figure."""

import pytest
from matplotlib import pyplot as plt
from PIL import Image

from deepchrome.data.reference import lineage
from deepchrome.figures.style import figure, tick_names


def test_a_figure_is_saved_at_its_size_and_closed(tmp_path):
    for name in ("first", "second"):
        with figure(tmp_path / f"{name}.png", 4, 3) as (_, ax):
            ax.plot([0, 1], [0, 1])
            ax.set(xlabel="x", ylabel="y")
    assert not plt.get_fignums()
    with Image.open(tmp_path / "first.png") as image:
        width, height = image.size
        assert "Software" not in image.info
    assert (width, height) == pytest.approx((600, 450), rel=0.1)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_a_figure_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), figure(tmp_path / "bad.png", 4, 3):
        raise ZeroDivisionError
    assert not plt.get_fignums()
    assert not list(tmp_path.iterdir())


def test_cell_types_are_named_by_id_and_name():
    assert tick_names(lineage(["mine", "E003"])) == ["E003  H1 Cells", "mine"]
