"""Files that are missing or damaged."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from stand_in import DRAWN_HERE, FIGURES, HASH, Parsed, made_page, write

FAULTS = {
    "not JSON": ("metrics/evaluate.json", "{", r"evaluate\.json: not valid JSON .*repro evaluate"),
    "a list": ("metrics/gan.json", "[]", r"gan\.json: found list, expected an object"),
    "a missing number": (
        "metrics/evaluate.json",
        json.dumps({"dataset": HASH, "auroc": 0.9}),
        r"evaluate\.json: no 'auroc_ci95' \(found dataset, auroc\)",
    ),
    "no hash": ("metrics/gan.json", "{}", r"gan\.json: no 'dataset' \(found nothing\)"),
    "a missing column": ("plots/evaluate/cells.csv", "cell,seed\n", "no column n, auroc, auprc"),
    "an empty table": ("plots/ingest/labels.csv", "", r"labels\.csv: not a CSV"),
    "a missing table": (
        "plots/evaluate/cells.csv",
        None,
        r"no such file; run 'dvc repro evaluate'",
    ),
    "a missing model": ("models/train/model.json", None, r"no such file; run 'dvc repro train'"),
    "no dataset": ("data/dataset/dataset.json", None, "dvc repro ingest"),
    "half a picture": ("plots/gan/means.png", 2000, r"means\.png: not a whole PNG or GIF"),
    "not a picture": ("plots/gan/means.png", "<svg/>", r"means\.png: not a whole PNG or GIF"),
    "damaged predictions": ("predictions/evaluate.parquet", "x", r"evaluate\.parquet: damaged"),
}


@pytest.mark.parametrize(("name", "content", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_message_and_keeps_the_earlier_page(run, name, content, message):
    write(run.path / "reports/index.html", "earlier")
    path = run.path / name
    if content is None:
        path.unlink()
    elif isinstance(content, int):
        rng = np.random.default_rng(0)
        Image.fromarray(rng.integers(0, 255, (99, 99), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:content])
    else:
        write(path, content)
    assert re.search(message, run.refused("report"), re.DOTALL)


def test_figures_that_were_not_drawn_are_left_out(run):
    (run.path / "plots/interpret/attention.png").unlink()
    (run.path / "plots/gan/quality.csv").unlink()
    page = Parsed(made_page(run))
    assert len(page.all("img")) == sum(map(len, FIGURES.values())) + DRAWN_HERE
    assert "of <training> genes" not in page.text["generated"]


def test_a_verdict_that_was_not_written_is_left_out(run):
    (run.path / "plots/gan/verdict.txt").unlink()
    (run.path / "plots/cross_cell/verdict.txt").unlink()
    page = Parsed(made_page(run))
    assert "No verdict was written." in page.text["generated"]
    assert "Verdict: undecided." in page.text["cell-types"]
