"""The page of a run: what was run, and a section for each question whose stage has run."""

from typing import Any

from deepchrome.data.dataset import origin
from deepchrome.errors import joined
from deepchrome.evaluation.comparison import Progress, no_progress
from deepchrome.figures.text import count
from deepchrome.params import CompareParams
from deepchrome.report import (
    architectures,
    cell_types,
    data_quality,
    expression,
    generated,
    interpretation,
    labels,
    training_sets,
)
from deepchrome.report.cell_names import cell_name
from deepchrome.report.page import SIMULATED, Page
from deepchrome.report.run import Run

WRONG_LABELS = (
    "The models learn and are tested on the archive's own labels (data.labels: published), of "
    "which {wrong:,} disagree with expression. Scores are against these labels."
)


def page(run: Run, params: CompareParams, progress: Progress = no_progress) -> Page:
    """Return the page of a run: a section for each question whose stage has run, in order.

    params, progress: of the comparison of architectures. Raises DeepChromeError where a file of a
    stage that has run is missing or damaged.
    """
    info = run.data.info
    found = [
        data_quality.section(run) if run.ran("validate") else None,
        labels.section(run) if run.ran("ingest") else None,
        expression.section(run) if run.ran("evaluate") else None,
        architectures.section(run, params, progress) if run.ran("evaluate") else None,
        cell_types.section(run) if run.ran("cross_cell") else None,
        training_sets.section(run) if run.ran("training_sets") else None,
        generated.section(run) if run.ran("gan") else None,
        interpretation.section(run) if run.ran("interpret") else None,
    ]
    model = run.json("models/train/model.json", "train")
    of_cells = count(len(run.data.cells), "cell type")
    notices = []
    if info["source"] == "simulated":
        notices.append(SIMULATED)
    if info["labels"] == "published" and (run.root / "metrics/ingest.json").is_file():
        wrong = run.metrics("ingest")["published_labels_wrong"]
        notices += [WRONG_LABELS.format(wrong=wrong)] if wrong else []
    return Page(
        title="DeepChrome: from histone marks to gene expression",
        lead=(
            f"{model['model']} ({model['parameters']:,} parameters) on {of_cells}, {origin(info)}"
        ),
        notice=" ".join(notices),
        facts=facts(run, model),
        details=details(run, model),
        sections=[one for one in found if one is not None],
        absent=run.absent,
    )


def facts(run: Run, model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the run was: data, cell types, model, dataset."""
    info = run.data.info
    source = {
        "simulated": "simulated",
        "roadmap": "Roadmap epigenomes",
        "own": "own data",
    }[info["source"]]
    options = [f"{key} {value}" for key, value in model["options"].items()]
    if model["architecture"] != model["model"]:
        options.insert(0, model["architecture"])
    return [
        ("Data", f"{source}; {info['values']} in {info['bins']} bins x {len(info['marks'])} marks"),
        ("Cell types", named_cells(run.data.cells)),
        (
            "Model",
            f"{model['model']}{f' ({joined(options)})' if options else ''}, one for each cell type"
            + (f" and each of {len(model['seeds'])} seeds" if len(model["seeds"]) > 1 else ""),
        ),
        ("Dataset", info["hash"]),
    ]


def details(run: Run, model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return how the data were made and the model was fed."""
    info = run.data.info
    rule = {
        "rpkm": "high where RPKM is above the cell type's median",
        "published": "the archive's own",
    }[info["labels"]]
    steps = model["preprocessing"]
    prepared = [
        f"{steps['reduce']} over the bins of each mark" if steps["reduce"] else "",
        {"log1p": "log(1 + count)"}.get(steps["transform"], steps["transform"]),
        "standardised by the training genes" if steps["standardize"] else "",
    ]
    return [
        ("Marks", ", ".join(info["marks"])),
        ("H3K4me3", "counts halved" if info["h3k4me3_halved"] else "counts as in the files"),
        ("Order of bins", info["orientation"]),
        ("Labels", rule),
        ("Split of genes", info["split"]),
        ("Input", ", ".join(part for part in prepared if part)),
        ("Seeds", ", ".join(map(str, model["seeds"]))),
    ]


def named_cells(cells: list[str]) -> str:
    """Name cell types; many as a count."""
    if len(cells) > 8:
        return f"{len(cells)}, {cells[0]} to {cells[-1]}"
    return ", ".join(f"{cell} ({name})" if (name := cell_name(cell)) else cell for cell in cells)
