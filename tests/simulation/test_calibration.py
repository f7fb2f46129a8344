"""Fitting the simulator, and the comparison that says whether the fit holds."""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import REAL, ROOT
from deepchrome import MARKS
from deepchrome.data import reference
from deepchrome.data.sources.expression import FILE_NAME, read_rpkm
from deepchrome.errors import DeepChromeError
from deepchrome.params import SimulateParams
from deepchrome.simulation import calibration, simulator, states
from deepchrome.stages import simulate
from deepchrome.tools import calibrate

sys.path.insert(0, str(ROOT / "benchmarks"))
import simulator_fit

real_sample = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"the real sample is not at {REAL}: see the README"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Simulated data to fit, where the truth is known."""
    folder = tmp_path_factory.mktemp("raw") / "made"
    simulate.run(
        SimulateParams(
            cells=["E003", "E123"],
            genes=250,
            seed=5,
            cell_specificity=0,
            interaction=0,
            depth="calibrated",
        ),
        folder,
    )
    return folder


@pytest.fixture(scope="module")
def fitted(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "simulator.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "_STATES", 3)
        patch.setattr(states, "_ROUNDS", 4)
        patch.setattr(calibration, "_TUNING_ROUNDS", 6)
        calibrate.run(made, path)
    return path


def compare(raw, statistics, **options):
    return simulator_fit.compare(
        raw, raw / FILE_NAME, statistics, splits=10, seeds=2, trees=False, **options
    )


def test_a_sample_is_read_in_the_direction_of_transcription(made):
    table = read_rpkm(made / FILE_NAME)
    sample = calibration.read_cell(made, table, "E123")
    assert sample.X.shape == (250, 100, 5)
    assert list(sample.gene_id) == sorted(sample.gene_id)
    body = sample.X[sample.high][:, :, MARKS.index("H3K36me3")].mean(axis=0)
    assert body[60:].mean() > 1.3 * body[:40].mean()
    k4me3 = sample.X[:, :, MARKS.index("H3K4me3")]
    assert (k4me3 % 2).any()  # reads, no longer doubled


def test_the_fit_finds_the_texture_it_was_given(made, fitted):
    statistics = simulator.load_statistics(fitted)
    for sample in calibration.read_cells(made, read_rpkm(made / FILE_NAME)):
        simulated = np.concatenate(
            [calibration.simulate_like(sample, seed, statistics) for seed in range(7, 12)]
        )
        assert np.allclose(simulated.mean((0, 1)), sample.X.mean((0, 1)), rtol=0.25)
        assert np.allclose((simulated == 0).mean((0, 1)), (sample.X == 0).mean((0, 1)), rtol=0.2)


def test_the_fit_finds_how_expression_is_shared(made, fitted):
    table = read_rpkm(made / FILE_NAME)
    found = calibration.fit_expression(table)
    again = simulator.load_statistics(fitted)["expression"]
    assert found == again
    a, b = found["variability_beta"]
    truth = simulator.load_statistics()["expression"]["variability_beta"]
    assert a / (a + b) == pytest.approx(truth[0] / sum(truth), abs=0.03)
    zeros = (table["E123"] == 0).mean()
    assert np.interp(1e-6, found["quantiles"]["E123"], found["levels"]) == pytest.approx(
        zeros, abs=0.03
    )


def test_statistics_are_small_and_say_what_they_are(fitted):
    packaged = Path(reference.__file__).parent / "simulator.json"
    for path in (fitted, packaged):
        assert path.stat().st_size < 200_000
        content = json.loads(path.read_text())
        assert "deepchrome calibrate" in content["description"]
        assert set(content["signals"]) == {"E003", "E123"}
        assert max(map(len, path.read_text().splitlines())) < 1_000  # rows, not a blob


def test_comparison_accepts_the_truth_and_refuses_a_wrong_model(made):
    truth = simulator.load_statistics()
    table = compare(made, truth)
    assert set(table["measure"]) >= {"zero fraction", "mean", "correlation of log sums"}
    assert table["holds"].mean() > 0.9

    wrong = copy.deepcopy(truth)
    for state in wrong["signals"]["E003"]["states"]:
        state["mean"] = state["mean"][::-1]  # the marks in another order
    refused = compare(made, wrong)
    e003 = refused[refused["cell"] == "E003"]
    for measure in ("zero fraction", "mean", "correlation of log sums"):
        assert not e003.loc[e003["measure"] == measure, "holds"].all()
    assert not e003.loc[e003["measure"].str.startswith("profile"), "holds"].all()


def test_trees_tell_marks_in_another_order_from_the_truth(made):
    truth = simulator.load_statistics()
    table = read_rpkm(made / FILE_NAME)
    sample = calibration.read_cell(made, table, "E123").take(np.arange(120))
    halves = [np.array_split(np.arange(120), 2)]
    simulated = calibration.simulate_like(sample, 3, truth)
    (same, *_) = simulator_fit._compare_by_classifier(sample, [simulated], halves)
    (other, *_) = simulator_fit._compare_by_classifier(sample, [simulated[:, :, ::-1]], halves)
    assert same["difference"] < 0.68
    assert other["difference"] > 0.9


def test_figures_are_drawn_for_each_cell_type(made, tmp_path, pictures):
    paths = simulator_fit.draw(made, made / FILE_NAME, tmp_path / "plots")
    assert [path.name for path in paths] == ["calibration_E003.png", "calibration_E123.png"]
    for path in paths:
        pictures.check(path)


def test_a_folder_without_cell_types_is_refused(made, tmp_path):
    with pytest.raises(DeepChromeError, match="no <EID>/classification folder"):
        calibration.calibrate(tmp_path, read_rpkm(made / FILE_NAME))


@real_sample
def test_packaged_statistics_hold_on_the_real_sample():
    table = simulator_fit.compare(
        REAL / "roadmap-subset", REAL / FILE_NAME, splits=20, seeds=5, trees=False
    )
    broken = table[~table["holds"].astype(bool)]
    assert broken.empty, broken.to_string()
