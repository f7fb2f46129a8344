"""The page of a run: which questions it answers, and of what run it is."""

import json
import re
import shutil

import pytest

from deepchrome import seals
from stand_in import HASH, SECTIONS, Parsed, made_page, write


def test_a_section_for_every_question_in_order(run):
    page = Parsed(made_page(run))
    assert [one["id"] for one in page.all("section")] == list(SECTIONS)
    expected = {
        "data-quality": ["1 warning: 179 of 180 expectations", "97%", "Check the <labels>."],
        "labels": ["145 of 1,200 disagree with expression, in 1 of 2", "explains all of them"],
        "expression": ["AUROC 0.906 (95% interval 0.874 to 0.932", "0.878 (E003)", "Beside"],
        "architectures": ["make study", "644,177"],
        "cell-types": ["loses 0.010 AUROC (−0.002 to 0.03).", "More.", "gap+0.003"],
        "training-sets": [
            "None of 2 other training sets",
            "Below own by more than chance: exclusive all.",
            "more diverse data +0.0012 (95% interval −0.0010 to +0.0030)",
        ],
        "generated": ["separability0.712 (95% interval 0.690 to 0.730)", "epochs1,200"],
        "classifier": ["as known", "H3K4me3up0.310", "attribution sum error0.0004"],
    }
    for name, texts in expected.items():
        shown = re.sub(r"\s*\n\s*", "", page.text[name])
        for text in texts:
            assert text in shown, (name, shown)
    links = [one["href"] for one in page.all("a")]
    for name in SECTIONS:
        assert f"#{name}" in links


def test_the_header_says_what_was_run(run):
    text = " ".join(Parsed(made_page(run)).text[""].split())
    assert "deepchrome (644,177 parameters) on 2 cell types, simulated data" in text
    assert "The data are simulated" in text
    assert HASH in text
    assert "E003 (H1 Cells), <i>E&9" in text


def test_real_data_are_not_called_simulated_and_wrong_labels_are_pointed_out(run):
    path = run.path / "data/dataset/dataset.json"
    info = seals.read_json(path, "") | {"source": "own", "labels": "published"}
    seals.write_json(path, info)
    page = Parsed(made_page(run))
    assert "simulated" not in page.text[""]
    assert "of which 145 disagree with expression" in page.text[""]
    assert "uses the published labels all the same" in page.text["labels"]


@pytest.mark.parametrize("stage", sorted(set(SECTIONS.values())))
def test_a_stage_that_did_not_run_has_no_section(run, stage):
    (run.path / f"metrics/{stage}.json").unlink()
    page = Parsed(made_page(run))
    left = [name for name, needed in SECTIONS.items() if needed != stage]
    assert [one["id"] for one in page.all("section")] == left
    assert f"{stage}: has not run" in page.text[""]


def test_results_of_other_data_are_left_out(run):
    path = run.path / "metrics/cross_cell.json"
    write(path, json.loads(path.read_text()) | {"dataset": "f" * 16})
    shutil.rmtree(run.path / "plots/gan")  # as in a clone before 'dvc checkout'
    printed = run.ok("report")
    page = Parsed((run.path / "reports/index.html").read_text())
    assert {"cell-types", "generated"}.isdisjoint(one["id"] for one in page.all("section"))
    for text in (page.text[""], printed):
        assert "cross_cell: its results are of other data (dataset ffffffffffffffff)" in text
        assert "gan: plots/gan is not here" in text


def test_the_same_files_give_the_same_page(run):
    first = made_page(run)
    assert made_page(run) == first
    assert str(run.path) not in first
    assert not re.search(r"20\d\d-\d\d-\d\d", re.sub(r"base64,[^\"]+", "", first))
