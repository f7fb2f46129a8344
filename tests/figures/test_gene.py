import numpy as np
import pytest

from deepchrome import MARKS
from deepchrome.figures.gene import gene


@pytest.mark.parametrize(("values", "unit"), [("counts", "reads"), ("signal", "signal")])
def test_a_gene(drawn, values, unit):
    signal = np.arange(500).reshape(100, 5)
    attributed = np.zeros((100, 5))
    attributed[50] = [-0.5, 0, 0.25, 1, 0]
    figure = drawn(gene, "GATA1", signal, signal / 2, attributed, "transcription", values)
    assert figure.heading.startswith(f"GATA1\ngrey: {unit} a bin; orange: mean of the training")
    shown = [one.y for one in figure.panels if one.y]
    assert shown == list(MARKS)
    whole = next(one for one in figure.panels if one.title == "whole mark")
    assert whole.x == "log-odds"
    assert whole.y_ticks == ["-0.50", "+0.00", "+0.25", "+1.00", "+0.00"]
    along = "kb from the TSS, in the direction of transcription"
    assert [one.x for one in figure.panels].count(along) == 1
    assert "log-odds a bin" in [one.x for one in figure.panels]
