"""Whether a CNN does better than a linear network: the two architectures of a run."""

import numpy as np

from deepchrome.evaluation import comparison as compare
from deepchrome.evaluation import predictions
from deepchrome.evaluation.comparison import Progress, no_progress
from deepchrome.evaluation.experiments import Experiment, check_comparable, scores_by_cell
from deepchrome.figures.text import sentence
from deepchrome.params import CompareParams
from deepchrome.report.comparison import (
    METHOD,
    cells_table,
    differences_figure,
    models_table,
    scores_figure,
)
from deepchrome.report.page import Section
from deepchrome.report.run import Run

QUESTION = "Does a CNN do better than a linear network?"
HOW = "Nine architectures as experiments on the same data, and two of your choice:"
COMMANDS = ("make study", "deepchrome report --compare study-deepchrome study-linear_sum")
TWO = (
    "These are the two architectures of this run: {model} is trained by stage train, {other} by "
    "stage training_sets. Other networks of either kind may do better or worse than these."
)
STAGES = ("evaluate", "training_sets")
"""Whose predictions are compared: those of the models of `train`, and of `training_sets`."""


def section(run: Run, params: CompareParams, progress: Progress = no_progress) -> Section:
    """Compare the two architectures of a run: that of `train` and that of `training_sets`.

    On the test genes of each cell type, both trained on its own training genes. Where the run has
    only one, the section says how to compare.
    """
    model = run.json("models/train/model.json", "train")
    said = f"{model['model']} ({model['parameters']:,} parameters)"
    predicted = [run.root / f"predictions/{stage}.parquet" for stage in STAGES]
    both = all(run.ran(stage) for stage in STAGES) and all(path.is_file() for path in predicted)
    other = run.json("models/training_sets/model.json", "training_sets") if both else model
    if other["model"] == model["model"]:
        return Section(
            "architectures",
            QUESTION,
            f"This run alone cannot tell: it trained one architecture, {said}.",
            more=[HOW],
            commands=COMMANDS,
        )
    tables = [predictions.read(str(path), path.read_bytes()) for path in predicted]
    own = [
        tables[0]["train_cell"] == tables[0]["test_cell"],
        tables[1]["train_cell"] == "own",
    ]
    scores = [
        scores_by_cell(str(path), table[(table["split"] == "test") & chosen])
        for path, table, chosen in zip(predicted, tables, own, strict=True)
    ]
    cells = [cell for cell in scores[0] if cell in scores[1]]
    trained = [
        Experiment(
            name=info["model"],
            settings={},
            protocol="tuned",
            dataset=run.data.info,
            model=info,
            scores={cell: one[cell] for cell in cells},
            between=np.nan,
            seconds=np.nan,
        )
        for info, one in zip((model, other), scores, strict=True)
    ]
    check_comparable(trained)
    found = compare.analyse(trained, between=False, params=params, progress=progress)
    pair = found.pairs.iloc[0]
    margin = params.equivalence_margin
    asked = {model["architecture"], other["architecture"]} == {"deepchrome", "linear"}
    return Section(
        "architectures",
        QUESTION if asked else f"Does {model['model']} do better than {other['model']}?",
        sentence(pair["sentence"].replace("undecided: ", "undecided, ")),
        word=pair["verdict"],
        more=[f"{TWO.format(model=model['model'], other=other['model'])} {HOW}"],
        commands=COMMANDS,
        figures=[scores_figure(found), differences_figure(found, margin)],
        tables=[models_table(found), cells_table(found)],
        method=[
            METHOD.format(margin=margin),
            "Both are trained on each cell type's own training genes, with the same seeds.",
        ],
        files=[f"predictions/{stage}.parquet" for stage in STAGES],
    )
