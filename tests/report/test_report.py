"""The report from small stand-ins for what the stages write, also as Chromium shows it."""

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from chromium import EXECUTABLE, Chromium
from conftest import Project
from deepchrome.data.dataset import CellType
from deepchrome.evaluation import predictions
from deepchrome.figures.text import interval, number, sentence

CELLS = ["E003", "<i>E&9"]
"""The second may be the name of a folder."""

HASH = "0123456789abcdef"
SECTIONS = {
    "data-quality": "validate",
    "labels": "ingest",
    "expression": "evaluate",
    "architectures": "evaluate",
    "cell-types": "cross_cell",
    "training-sets": "training_sets",
    "generated": "gan",
    "classifier": "interpret",
}
"""The anchor of each section, in order, and the stage whose results it shows."""

FIGURES = {
    "train": ["curves"],
    "evaluate": ["cells", "curves", "published"],
    "cross_cell": ["auroc", "controls", "decomposition", "lineage", "clusters", "published"],
    "training_sets": ["sets", "curve", "published"],
    "gan": ["means", "profiles", "genes", "correlation", "walk", "cells", "quality"],
    "interpret": ["code", "attribution", "maximisation", "occlusion", "attention"],
}
DRAWN_HERE = 2  # of the two architectures: scores and difference
VERDICT = "Undecided whether the relation is the same: it loses 0.010 AUROC (-0.002 to 0.03). More."


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def table(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)


def model(name: str, parameters: int, **more: object) -> dict:
    described = {"model": name, "architecture": name, "parameters": parameters, "seeds": [0]}
    steps = {"reduce": None, "transform": "log1p", "standardize": True}
    return described | {"options": {}, "preprocessing": steps, "dataset": HASH} | more


def scores(path: Path, noise: float, names: list[str], split: str) -> None:
    """Write predictions; names: what trained the model that scores each cell type."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(60) % 2).astype(np.int8)
    genes = np.array([f"ENSG{i:011d}" for i in range(60)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with predictions.Writer(path) as writer:
        for cell, name in zip(CELLS, names, strict=True):
            test = CellType(cell, genes, np.zeros((60, 1, 1)), y, np.full(60, split, object))
            score = 1 / (1 + np.exp(-(y - 0.5 + noise * rng.normal(size=60))))
            writer.add([name], [0], test, score[None, None])


def make_run(root: Path) -> None:
    """Write what every stage leaves, small."""
    info = {"cells": CELLS, "marks": ["H3K27me3", "H3K4me3"], "bins": 100, "values": "counts"}
    info |= {"source": "simulated", "orientation": "genomic", "h3k4me3_halved": True}
    info |= {"labels": "rpkm", "split": "published", "hash": HASH}
    write(root / "data/dataset/dataset.json", info)
    write(root / "models/train/model.json", model("deepchrome", 644177))
    write(root / "models/training_sets/model.json", model("linear", 12))
    write(root / "reports/data_docs/index.html", "<p>Data Docs</p>")
    scores(root / "predictions/evaluate.parquet", 0.4, CELLS, "test")
    scores(root / "predictions/training_sets.parquet", 0.6, ["own", "own"], "test")
    metrics = {
        "validate": {"expectations": 180, "warnings": 1, "failures": 0},
        "ingest": {"published_labels_wrong": 145, "explained_by_text": 145},
        "evaluate": {
            "auroc": 0.9056,
            "auroc_ci95": [0.8736, 0.9317],
            "auroc_without_overlap": None,
            "auprc": 0.886,
            "accuracy": 0.858,
        },
        "cross_cell": {
            "within_mean": 0.9056,
            "between_mean": 0.9023,
            "gap": 0.0033,
            "gap_ci95": [-0.03, 0.037],
            "no_chromatin_auroc": None,
            "switching_auroc": 0.865,
            "switching_difference_auroc": 0.95,
            "shuffled_auroc": 0.499,
            "verdict": "undecided",
        },
        "training_sets": {
            "own": 0.9081,
            "more_diverse": 0.0012,
            "more_diverse_ci95": [-0.001, 0.003],
            "more_data": None,
            "more_data_ci95": None,
        },
        "gan": {"separability": 0.7123, "separability_ci95": [0.69, 0.73], "epochs": 1200},
        "interpret": {"attribution_sum_error": 0.0004, "verdict": "as known"},
    }
    for stage, numbers in metrics.items():
        write(root / f"metrics/{stage}.json", {"dataset": HASH} | numbers)
    plots = root / "plots"
    two = [0.1, 0.2]
    table(
        plots / "validate/expectations.csv",
        cell=[*CELLS, "all cell types"],
        expectations=[70, 70, 40],
        warnings=[1, 0, 0],
        failures=[0, 0, 0],
    )
    table(
        plots / "validate/failed.csv",
        cell=CELLS[:1],
        severity=["warning"],
        expected=["5% to 95% of genes are high"],
        found=["97%"],
        to_do=["Check the <labels>."],
    )
    table(
        plots / "ingest/labels.csv",
        cell=CELLS,
        genes=[600, 600],
        high=[0.5, 0.5],
        published_high=[0.29, 0.5],
        disagree=[145, 0],
        explained=[145, 0],
        verdict=["text", "numeric"],
    )
    table(plots / "train/curves.csv", epoch=[1, 2], train_loss=[0.6, 0.4], valid_auroc=[0.8, 0.9])
    scored = {"auroc": [0.878, 0.938], "auprc": [0.83, 0.92], "accuracy": [0.82, 0.89]}
    table(plots / "evaluate/cells.csv", cell=CELLS, seed=[0, 0], n=[204, 204], **scored)
    table(plots / "evaluate/roc.csv", fpr=two, tpr=[0.71, 0.8])
    table(plots / "evaluate/precision_recall.csv", recall=[0.7, 0.8], precision=[0.95, 0.83])
    pairs = {"train_cell": [*CELLS, *CELLS], "test_cell": [*CELLS, *CELLS[::-1]]}
    table(plots / "cross_cell/auroc.csv", **pairs, auroc=[0.88, 0.94, 0.87, 0.93])
    write(plots / "cross_cell/verdict.txt", VERDICT)
    table(
        plots / "cross_cell/controls.csv",
        statistic=["within", "between", "gap", "switching"],
        auroc=[0.906, 0.902, 0.004, 0.865],
        low=[0.8] * 4,
        high=[0.95] * 4,
    )
    terms = ["columns", "rows", "interaction"]
    table(plots / "cross_cell/decomposition.csv", term=terms, share=[0.97, 0.02, 0.01])
    table(plots / "cross_cell/cells.csv", cell=CELLS, columns=two, rows=two, own=two)
    lost = {"same_lineage": [True, False], "loss": [0.001, 0.02]}
    table(plots / "cross_cell/pairs.csv", train_cell=["A", "B"], test_cell=["B", "C"], **lost)
    table(plots / "cross_cell/clusters.csv", clusters=[2], adjusted_rand=[0.4], p=[0.03])
    table(
        plots / "training_sets/means.csv",
        training_set=["own", "inclusive_all", "exclusive_all"],
        n=[2, 2, 2],
        n_cells=[1.0, 2.0, 1.0],
        auroc=[0.9081, 0.91, 0.9],
        difference=[0, 0.002, -0.008],
        low=[0, -0.001, -0.012],
        high=[0, 0.005, -0.004],
    )
    kinds = {"examples": ["all", "as one cell type"], "auroc": [0.9, 0.9], "gain": [0.004, 0.001]}
    table(plots / "training_sets/curve_means.csv", n_cells=[7, 7], **kinds, low=two, high=two)
    quality = {"measure": ["separability", "copies"], "value": [0.7123, 3], "reference": [0.5, 0]}
    table(plots / "gan/quality.csv", **quality, what=["trees", "of <training> genes"])
    write(plots / "gan/verdict.txt", "High genes carry H3K4me3 at the TSS. Trust it so far.")
    table(plots / "interpret/marks.csv", mark=["H3K4me3"], sign=["up"], effect=[0.31])
    write(plots / "interpret/verdict.txt", "It looks for H3K4me3.")
    published = {"source": ["CNN", "CNN"], "published": [0.7, 0.9], "ours": [0.88, 0.91]}
    published |= {"difference": [0.18, 0.01], "comparable": [False, True], "reason": ["text", ""]}
    for stage, names in FIGURES.items():
        for name in names:
            if name == "published":
                table(plots / f"{stage}/published.csv", **published)
            (plots / stage).mkdir(exist_ok=True)
            picture = Image.new("RGB", (1500, 600), "white")
            picture.save(plots / f"{stage}/{name}.png", dpi=(150, 150))
    frames = [Image.new("P", (300, 200), color) for color in (1, 2)]
    frames[0].save(plots / "gan/walk.gif", save_all=True, append_images=frames[1:])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made")
    make_run(path)
    return path


@pytest.fixture
def run(made, project) -> Project:
    """A project with all of a run's files."""
    shutil.copytree(made, project.path, dirs_exist_ok=True)
    project.set("compare.resamples", 100)
    return project


def made_page(project: Project) -> str:
    project.ok("report")
    return (project.path / "reports/index.html").read_text(encoding="utf-8")


class Parsed(HTMLParser):
    """Every element of a page with its attributes, and the text of each section."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "section":
            self._section = attributes["id"]

    def handle_endtag(self, tag):
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        self.text[self._section] = self.text.get(self._section, "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


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
    info = json.loads(path.read_text()) | {"source": "own", "labels": "published"}
    write(path, info)
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


def test_results_of_other_models_are_pointed_out(run):
    path = run.path / "metrics/cross_cell.json"
    write(path, json.loads(path.read_text()) | {"within_mean": 0.85})
    assert "other models than those of the question above" in made_page(run)


def test_figures_that_were_not_drawn_are_left_out(run):
    (run.path / "plots/interpret/attention.png").unlink()
    (run.path / "plots/gan/quality.csv").unlink()
    page = Parsed(made_page(run))
    assert len(page.all("img")) == sum(map(len, FIGURES.values())) + DRAWN_HERE
    assert "of <training> genes" not in page.text["generated"]


def test_one_cell_type(run):
    path = run.path / "metrics/cross_cell.json"
    write(path, dict.fromkeys(json.loads(path.read_text())) | {"dataset": HASH, "within_mean": 0.9})
    shutil.rmtree(run.path / "plots/cross_cell")
    table(run.path / "plots/cross_cell/auroc.csv", train_cell=["A"], test_cell=["A"], auroc=[0.9])
    assert "there is no other to compare it with" in Parsed(made_page(run)).text["cell-types"]


def test_two_architectures_of_a_run_are_compared(run):
    page = Parsed(made_page(run))
    difference = []
    for name in ("evaluate", "training_sets"):
        rows = pd.read_parquet(run.path / f"predictions/{name}.parquet")
        by_cell = rows.groupby("test_cell", observed=True)[["label", "score"]]
        difference.append(by_cell.apply(lambda x: roc_auc_score(x["label"], x["score"])).mean())
    expected = f"difference {difference[0] - difference[1]:.3f}"
    assert difference[0] > difference[1] + 0.01
    assert expected in page.text["architectures"]
    assert "Does a CNN do better than a linear network?" in page.text["architectures"]
    write(run.path / "models/train/model.json", model("attentive", 55681))
    page = Parsed(made_page(run))
    assert "Does attentive do better than linear?" in page.text["architectures"]


def test_a_gain_is_said_with_its_number(run):
    path = run.path / "plots/training_sets/means.csv"
    means = pd.read_csv(path)
    means.loc[1, "low"] = 0.001
    means.to_csv(path, index=False)
    text = " ".join(Parsed(made_page(run)).text["training-sets"].split())
    assert "1 of 2 other training sets scores above" in text
    assert "inclusive all by +0.002 (95% interval +0.001 to +0.005, not corrected" in text


def test_one_architecture_is_not_compared_with_itself(run):
    write(run.path / "models/training_sets/model.json", model("deepchrome", 644177))
    page = Parsed(made_page(run))
    assert "it trained one architecture, deepchrome" in page.text["architectures"]
    assert "make study" in page.text["architectures"]


def test_names_are_escaped(run):
    page = made_page(run)
    for name in ("<i>E&9", "<labels>", "<training>"):
        assert name not in page
    assert "&lt;i&gt;E&amp;9" in page


def test_the_same_files_give_the_same_page(run):
    first = made_page(run)
    assert made_page(run) == first
    assert str(run.path) not in first
    assert not re.search(r"20\d\d-\d\d-\d\d", re.sub(r"base64,[^\"]+", "", first))


def test_structure_for_readers_without_eyes_or_network(run):
    page = Parsed(made_page(run))
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    images = page.all("img")
    assert len(images) == sum(map(len, FIGURES.values())) + 1 + DRAWN_HERE
    for image in images:
        assert image["src"].startswith("data:image/")
        assert len(image["alt"]) > 50
    told = [image["alt"] for image in images]
    assert len(set(told)) >= len(told) - 2  # published results are alike here
    assert sum(bool(re.search(r"\d\.\d", text)) for text in told) >= 15
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = link["href"]
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (run.path / "reports" / target).is_file(), target
    assert len(page.all("caption")) == len(page.all("table"))


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


def test_experiments_without_compare_are_a_usage_error(run):
    status, printed = run("report", "linear")
    assert status == 2
    assert "--compare" in printed


def test_numbers_as_people_read_them():
    assert number(-0.0004) == "0.000"
    assert number(-0.0014, sign=True) == "−0.001"
    assert number(0.5, sign=True) == "+0.500"
    assert number(None) == number(float("nan")) == "–"
    assert interval(-0.1, 0.2, 1, sign=True) == "−0.1 to +0.2"
    assert sentence("from -0.1 to 1e-3, E003-E123") == "from −0.1 to 1e-3, E003-E123."


needs_chromium = pytest.mark.skipif(
    EXECUTABLE is None, reason="Chromium is not installed (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    with Chromium() as chromium:
        yield chromium


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_in_chromium(run, browser, width):
    made_page(run)
    browser.open(run.path / "reports/index.html", width)
    assert browser.complaints() == []
    assert browser.requests() == [(run.path / "reports/index.html").as_uri()]
    loaded = browser.evaluate("[...document.images].map(one => one.complete && one.naturalWidth)")
    assert len(loaded) == sum(map(len, FIGURES.values())) + 1 + DRAWN_HERE
    assert all(loaded)
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    for address in browser.evaluate("[...document.links].map(one => one.href)"):
        path, _, anchor = address.removeprefix("file://").partition("#")
        assert Path(path).is_file(), address
        if anchor:
            assert browser.evaluate(f"document.getElementById({anchor!r}) !== null"), address


@needs_chromium
def test_print_in_chromium(run, browser):
    made_page(run)
    browser.open(run.path / "reports/index.html")
    folded = "document.querySelectorAll('details:not([open])').length"
    before = browser.evaluate(folded)
    assert before > len(SECTIONS)
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate(folded) == 0
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate(folded) == before
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 4
    assert browser.complaints() == []


@needs_chromium
def test_chromium_would_notice(tmp_path, browser):
    """A broken figure, a console error, a request and a page that is too wide are all seen."""
    write(
        tmp_path / "bad.html",
        "<img src='data:image/png;base64,AAAA'><img src='gone.png'>"
        "<div style='width: 900px'>wide</div><script>fail()</script>",
    )
    browser.open(tmp_path / "bad.html", 390)
    assert len(browser.complaints()) >= 1
    assert any("gone.png" in address for address in browser.requests())
    assert browser.evaluate("[...document.images].map(one => one.naturalWidth)") == [0, 0]
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
