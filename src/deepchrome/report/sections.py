"""Question by question, what the files of a run say. Each function returns None for no answer."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from deepchrome.data import reference
from deepchrome.data.dataset import origin
from deepchrome.evaluation import published_results
from deepchrome.evaluation.experiments import ROUNDING
from deepchrome.report.page import (
    Figure,
    Page,
    Section,
    Table,
    count,
    interval,
    join,
    number,
    sentence,
)
from deepchrome.report.run import Run

SIMULATED = (
    "The data are simulated, with statistics fitted on real chromatin. Every number and figure on "
    "this page describes the simulation; none is a finding about real cells."
)
WRONG_LABELS = (
    "The models learn and are tested on the archive's own labels (data.labels: published), of "
    "which {wrong:,} disagree with expression. Scores are against these labels."
)


def page(run: Run, architectures: Callable[[], Section]) -> Page:
    """Return the page of a run: a section for each question whose stage has run, in order.

    architectures: makes the section that compares them.
    """
    info = run.data.info
    found = [
        data_quality(run) if run.ran("validate") else None,
        labels(run) if run.ran("ingest") else None,
        expression(run) if run.ran("evaluate") else None,
        architectures() if run.ran("evaluate") else None,
        cell_types(run) if run.ran("cross_cell") else None,
        training_sets(run) if run.ran("training_sets") else None,
        generated(run) if run.ran("gan") else None,
        looked_for(run) if run.ran("interpret") else None,
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
            f"{model['model']}{f' ({join(options)})' if options else ''}, one for each cell type"
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


def cell_name(cell: str) -> str:
    """Return what Roadmap calls a cell type; empty where it is not Roadmap's."""
    return str(reference.cell_types()["name"].get(cell, ""))


def data_quality(run: Run) -> Section:
    """Answer: Can these data be trusted? From `validate`."""
    metrics = run.metrics("validate")
    suites = run.table("validate/expectations.csv", "cell expectations warnings failures")
    failed = run.table("validate/failed.csv", "cell severity expected found to_do").fillna("")
    warnings = int(metrics["warnings"])
    verdict = f"Yes: all {metrics['expectations']:,} expectations are met."
    if warnings:
        verdict = (
            f"Yes, with {count(warnings, 'warning')}: {metrics['expectations'] - warnings:,} of "
            f"{metrics['expectations']:,} expectations are met, and none that is not met is "
            "critical."
        )
    tables = []
    if len(failed):
        tables.append(
            Table(
                "Expectations that are not met, and what that means",
                ["cell type", "expected", "found", "what to do"],
                failed[["cell", "expected", "found", "to_do"]].astype(str).to_numpy().tolist(),
                text=["cell type", "expected", "found", "what to do"],
            )
        )
    tables.append(
        Table(
            "Expectations by cell type",
            ["suite", "expectations", "warnings", "failures"],
            [
                [str(row.cell), f"{row.expectations:,}", f"{row.warnings:,}", f"{row.failures:,}"]
                for row in suites.itertuples()
            ],
            text=["suite"],
        )
    )
    return Section(
        "data-quality",
        "Can these data be trusted?",
        verdict,
        word=count(warnings, "warning") if warnings else "passed",
        tables=tables,
        links={"Data Docs: every expectation and what was found": "data_docs/index.html"},
        method=[
            "Great Expectations checks files, genes, labels, counts and profiles of every cell "
            "type, and cell types against each other. A critical failure stops the pipeline before "
            "anything is trained; a warning does not.",
            "Data Docs take their styling from the web; without a network they read as plain HTML.",
        ],
        files=["metrics/validate.json", "plots/validate/failed.csv"],
    )


def labels(run: Run) -> Section:
    """Answer: Are the published labels right? From `ingest`."""
    metrics = run.metrics("ingest")
    audit = run.table(
        "ingest/labels.csv", "cell genes high published_high disagree explained verdict"
    )
    wrong, explained = metrics["published_labels_wrong"], metrics["explained_by_text"]
    affected = int((audit["disagree"] > 0).sum())
    checked, total = len(audit), int(audit["genes"].sum())
    used_rpkm = run.data.info["labels"] == "rpkm"
    used = (
        "This run's labels are made from RPKM instead."
        if used_rpkm
        else "This run uses the published labels all the same (data.labels: published)."
    )
    if not checked:
        word, verdict = "not known", "Not known: expression is not at hand to check them against."
    elif not wrong:
        word = "right"
        verdict = f"Yes: all {total:,} agree with expression in {count(checked, 'cell type')}."
    else:
        word = "wrong"
        verdict = (
            f"No: {wrong:,} of {total:,} disagree with expression, in {affected} of "
            f"{count(checked, 'cell type')}; comparing RPKM as text explains "
            f"{'all of them' if explained == wrong else f'{explained:,} of them'}. {used}"
        )
    table = Table(
        "Published labels against expression",
        ["cell type", "name", "genes", "high", "published high", "wrong", "by text", "verdict"],
        [
            [
                str(row.cell),
                cell_name(row.cell),
                f"{row.genes:,}",
                f"{row.high:.1%}",
                f"{row.published_high:.1%}",
                f"{row.disagree:,}",
                f"{row.explained:,}",
                str(row.verdict),
            ]
            for row in audit.itertuples()
        ],
        text=["cell type", "name", "verdict"],
    )
    return Section(
        "labels",
        "Are the published labels right?",
        verdict,
        word=word,
        tables=[table] if checked else [],
        method=[
            "A gene is high where its RPKM is above the median of all genes of the cell type. The "
            "published archive compared these numbers as text, by which 13.316 is less than 3.329.",
            "Verdicts: numeric, all labels are right; text, all that are wrong are so by comparing "
            "as text; unexplained, some differ for another reason.",
        ],
        files=["metrics/ingest.json", "plots/ingest/labels.csv"],
    )


def expression(run: Run) -> Section:
    """Answer: How well is expression predicted? From `evaluate`."""
    metrics = run.metrics("evaluate")
    cells = run.table("evaluate/cells.csv", "cell seed n auroc auprc accuracy")
    seeds = cells["seed"].nunique()
    by_cell = cells.groupby("cell")[["n", "auroc", "auprc", "accuracy"]].mean()
    spread = cells.groupby("cell")["auroc"].std()
    low, high = metrics["auroc_ci95"]
    n = count(len(by_cell), "cell type")
    worst, best = by_cell["auroc"].idxmin(), by_cell["auroc"].idxmax()
    one = len(by_cell) == 1

    def dots() -> str:
        return (
            f"Dot plot of test AUROC, a row for each of {n}, ordered by lineage, "
            f"{count(seeds, 'dot')} a row. "
            + (
                f"It is {number(metrics['auroc'])}."
                if one
                else f"Lowest {worst} with {number(by_cell['auroc'][worst])}, highest {best} with "
                f"{number(by_cell['auroc'][best])}; mean {number(metrics['auroc'])}."
            )
        )

    def curves() -> str:
        roc = run.table("evaluate/roc.csv", "fpr tpr")
        recall = run.table("evaluate/precision_recall.csv", "recall precision")
        at_fpr = roc.loc[(roc["fpr"] - 0.1).abs().idxmin(), "tpr"]
        at_recall = recall.loc[(recall["recall"] - 0.8).abs().idxmin(), "precision"]
        return (
            f"Two panels of curves on test genes, thin for each of {n}, thick for their mean. "
            f"Left, ROC: at a false positive rate of 0.1 the mean true positive rate is "
            f"{number(at_fpr, 2)}. Right, precision and recall: at a recall of 0.8 the mean "
            f"precision is {number(at_recall, 2)}."
        )

    def training() -> str:
        table = run.table("train/curves.csv", "epoch train_loss valid_auroc")
        last = table.iloc[-1]
        peak = table.loc[table["valid_auroc"].idxmax()]
        return (
            f"Two panels over {count(len(table), 'epoch')}. Left: the mean training loss falls "
            f"from {number(table['train_loss'].iloc[0])} to {number(last['train_loss'])}. Right: "
            f"the mean AUROC on validation genes is highest, {number(peak['valid_auroc'])}, in "
            f"epoch {int(peak['epoch'])}."
        )

    scored = "Each cell type's test genes, scored by its own models, which never saw them"
    table = Table(
        "Test scores by cell type" + (f", means over {seeds} seeds" if seeds > 1 else ""),
        ["cell type", "name", "test genes", "AUROC", *(["sd"] * (seeds > 1)), "AUPRC", "accuracy"],
        [
            [
                str(cell),
                cell_name(str(cell)),
                f"{row['n']:,.0f}",
                number(row["auroc"]),
                *([number(spread[cell])] * (seeds > 1)),
                number(row["auprc"]),
                number(row["accuracy"]),
            ]
            for cell, row in by_cell.iterrows()
        ],
        text=["cell type", "name"],
    )
    beside, said = published(run, "evaluate")
    return Section(
        "expression",
        "How well is expression predicted?",
        f"High and low test genes are told apart with AUROC {number(metrics['auroc'])} "
        f"(95% interval {interval(low, high)}; chance is 0.5)"
        + ("." if one else f", the mean of {n}, from {number(by_cell['auroc'][worst])} ({worst}) "
           f"to {number(by_cell['auroc'][best])} ({best})."),
        more=said,
        numbers=[
            ("AUROC", number(metrics["auroc"])),
            ("95% interval over genes", interval(low, high)),
            (
                "AUROC without genes whose window overlaps a training gene's",
                number(metrics["auroc_without_overlap"]),
            ),
            ("AUPRC", number(metrics["auprc"])),
            ("accuracy", number(metrics["accuracy"])),
        ],
        figures=run.figures(
            (
                "evaluate/cells.png",
                dots,
                f"AUROC by cell type. {scored}.",
            ),
            (
                "evaluate/curves.png",
                curves,
                "Curves on the test genes, interpolated on a common grid and averaged over cell "
                "types.",
            ),
            (
                "train/curves.png",
                training,
                "Training. The epoch with the best AUROC on validation genes is kept; test genes "
                "play no part.",
            ),
        )
        + beside,
        tables=[table],
        method=[
            f"{scored}. A score is the mean over seeds, then over cell types. The interval is a "
            "bootstrap over genes, the same in every cell type: how far the mean would move with "
            "other test genes of these cell types.",
        ],
        files=["metrics/evaluate.json", "plots/evaluate/cells.csv", "predictions/evaluate.parquet"],
    )  # fmt: skip


def published(run: Run, stage: str) -> tuple[list[Figure], list[str]]:
    """Return the figure of published results beside ours and a line on it, where there are any."""
    if not run.has(f"{stage}/published.png"):
        return [], []
    columns = "source published ours difference comparable reason"
    table = run.table(f"{stage}/published.csv", columns)
    said = sentence(f"Beside {published_results.describe(table)}")

    def alt() -> str:
        first = table[table["source"] == table["source"].iloc[0]]
        return (
            f"Left: published against our AUROC, {len(first):,} pairs, "
            f"{int(first['comparable'].sum()):,} of them comparable. Right: ours minus published "
            f"by cell type, from {number(first['difference'].min(), sign=True)} to "
            f"{number(first['difference'].max(), sign=True)}, mean "
            f"{number(first['difference'].mean(), sign=True)}. {said}"
        )

    caption = (
        "Published results beside ours. Hollow grey: not comparable, because the published scores "
        "are against labels that compare RPKM as text."
    )
    return run.figures((f"{stage}/published.png", alt, caption)), [said]


def sentences(text: str) -> list[str]:
    """Split a text into sentences."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(])", " ".join(text.split())) if text else []


def lead_and_rest(text: str) -> tuple[str, list[str]]:
    """Return the first sentence of a verdict, and the rest as a paragraph."""
    first, *rest = map(sentence, sentences(text))
    return first, [" ".join(rest)] if rest else []


def cell_types(run: Run) -> Section:
    """Answer: Is the relation the same in every cell type? From `cross_cell`."""
    metrics = run.metrics("cross_cell")
    matrix = run.table("cross_cell/auroc.csv", "train_cell test_cell auroc")
    n = matrix["train_cell"].nunique()
    question = "Is the relation the same in every cell type?"
    files = ["metrics/cross_cell.json", "plots/cross_cell/auroc.csv"]
    stale = ""
    if (run.root / "metrics/evaluate.json").is_file():
        own = run.metrics("evaluate")["auroc"]
        if abs(own - metrics["within_mean"]) > ROUNDING:
            stale = (
                f"These are other models than those of the question above, whose mean AUROC is "
                f"{number(own)} and not {number(metrics['within_mean'])}: run 'dvc repro'."
            )
    if metrics["verdict"] is None:
        return Section(
            "cell-types",
            question,
            "One cell type cannot tell: there is no other to compare it with.",
            files=files,
        )
    verdict, rest = lead_and_rest(run.text("cross_cell/verdict.txt"))
    gap_low, gap_high = metrics["gap_ci95"]
    apart = matrix["train_cell"] != matrix["test_cell"]
    lowest, highest = (
        matrix.loc[getattr(matrix.loc[apart, "auroc"], side)()] for side in ("idxmin", "idxmax")
    )

    def heat() -> str:
        return (
            f"Matrix of AUROCs, {n} rows (trained on) by {n} columns (tested on), ordered by "
            f"lineage. On the diagonal {number(metrics['within_mean'])} on average, off it "
            f"{number(metrics['between_mean'])}, from {number(lowest['auroc'])} "
            f"({lowest['train_cell']} on {lowest['test_cell']}) to {number(highest['auroc'])} "
            f"({highest['train_cell']} on {highest['test_cell']})."
        )

    def controls() -> str:
        table = run.table("cross_cell/controls.csv", "statistic auroc low high").set_index(
            "statistic"
        )["auroc"]
        value = {name: number(table.get(name)) for name in CONTROLS}
        return (
            f"Dots with 95% intervals. On all test genes the own model scores {value['within']}, "
            f"another cell type's {value['between']}, expression in other cell types without any "
            f"chromatin {value['no_chromatin']}, shuffled labels {value['shuffled']}. On genes "
            f"whose label differs: own {value['switching_own']}, other {value['switching']}, "
            f"without chromatin {value['switching_no_chromatin']}. Difference of two scores: own "
            f"{value['difference_own']}, one model for both {value['difference']}. At the side the "
            f"gap, {value['gap']}, beside its margin."
        )

    def decomposition() -> str:
        table = run.table("cross_cell/decomposition.csv", "term share").set_index("term")["share"]
        cells = run.table("cross_cell/cells.csv", "cell columns rows own").set_index("cell")
        return (
            "Three panels of dots with 95% intervals, a row for each cell type. Of the variance "
            f"between cell types {table['columns']:.0%} is how easy they are to predict, "
            f"{table['rows']:.0%} how well they teach, {table['interaction']:.0%} particular to "
            f"the pair. Easiest to predict is {cells['columns'].idxmax()} "
            f"({number(cells['columns'].max(), sign=True)}), hardest {cells['columns'].idxmin()} "
            f"({number(cells['columns'].min(), sign=True)})."
        )

    def lineage() -> str:
        pairs = run.table("cross_cell/pairs.csv", "train_cell test_cell same_lineage loss")
        pairs = pairs[pairs["train_cell"] < pairs["test_cell"]]
        loss, same = pairs["loss"], pairs["same_lineage"].astype(bool)
        text = (
            f"Scatter of {count(len(pairs), 'pair')} of cell types: AUROC lost when the two swap "
            f"models, from {number(loss.min(), sign=True)} to {number(loss.max(), sign=True)}, "
            "against the share of genes with the same label in both."
        )
        if 0 < same.sum() < len(same):
            text += (
                f" The mean loss is {number(loss[same].mean(), sign=True)} within a lineage and "
                f"{number(loss[~same].mean(), sign=True)} between lineages."
            )
        return text

    def clusters() -> str:
        one = run.table("cross_cell/clusters.csv", "clusters adjusted_rand p").iloc[0]
        return (
            f"Matrix of what each two of {n} cell types lose by swapping models, ordered by "
            f"clustering into {int(one['clusters'])} clusters; agreement with lineages: adjusted "
            f"Rand index {number(one['adjusted_rand'], 2)}, p {number(one['p'])}."
        )

    beside, said = published(run, "cross_cell")
    return Section(
        "cell-types",
        question,
        verdict or f"Verdict: {metrics['verdict']}.",
        word=str(metrics["verdict"]),
        more=[*([stale] if stale else []), *rest, *said],
        numbers=[
            ("AUROC, own model", number(metrics["within_mean"])),
            ("AUROC, another cell type's model", number(metrics["between_mean"])),
            ("gap", number(metrics["gap"], sign=True)),
            (
                "95% interval of the gap, over genes and cell types",
                interval(gap_low, gap_high, sign=True),
            ),
            (
                "control, no chromatin: mean expression in other cell types",
                number(metrics["no_chromatin_auroc"]),
            ),
            (
                "another cell type's model, on genes whose label differs",
                number(metrics["switching_auroc"]),
            ),
            (
                "in which of two cell types is a gene high? (one model)",
                number(metrics["switching_difference_auroc"]),
            ),
            ("control, shuffled labels", number(metrics["shuffled_auroc"])),
        ],
        figures=run.figures(
            (
                "cross_cell/auroc.png",
                heat,
                "The cross-cell matrix. Every cell type's models score the test genes of every "
                "cell type; means over seeds.",
            ),
            (
                "cross_cell/controls.png",
                controls,
                "Chromatin, or the gene? Most genes are high in all cell types or in none, so a "
                "good score elsewhere shows little by itself. The controls do: genes whose label "
                "differs between the two cell types, and a baseline that sees no chromatin.",
            ),
            (
                "cross_cell/decomposition.png",
                decomposition,
                "Rows, columns and what is left. Least squares: AUROC is a mean, a term for the "
                "cell type trained on, one for that tested on, and a residual; on the diagonal, "
                "the advantage of the own model.",
            ),
            (
                "cross_cell/lineage.png",
                lineage,
                "Loss by lineage. Two cell types that swap models lose the mean of their own two "
                "AUROCs minus the mean of the two swapped ones.",
            ),
            (
                "cross_cell/clusters.png",
                clusters,
                "Cell types clustered by what they lose when they swap models.",
            ),
        )
        + beside,
        method=[
            "The gap is the mean loss over all pairs of cell types that swap models. Its interval "
            "comes from resampling genes and cell types. The relation is called the same where the "
            "whole interval lies below the margin and the difference of scores on switching genes "
            "lies above 0.5; it differs where the interval over genes alone lies above the margin; "
            "otherwise it is undecided (docs/cross_cell.md).",
        ],
        files=[*files, "plots/cross_cell/controls.csv", "predictions/cross_cell.parquet"],
    )


CONTROLS = (
    "within",
    "between",
    "gap",
    "no_chromatin",
    "shuffled",
    "switching",
    "switching_own",
    "switching_no_chromatin",
    "difference",
    "difference_own",
)


def training_sets(run: Run) -> Section:
    """Answer: What is gained by training on several cell types? From `training_sets`."""
    metrics = run.metrics("training_sets")
    means = run.table("training_sets/means.csv", "training_set n n_cells auroc difference low high")
    model = run.json("models/training_sets/model.json", "training_sets")["model"]
    sets = means[means["training_set"] != "own"]
    above, below = sets[sets["low"] > 0], sets[sets["high"] < 0]
    own = metrics["own"]
    span = f"{number(sets['difference'].min(), sign=True)} to " + number(
        sets["difference"].max(), sign=True
    )
    if not len(sets):
        word, verdict = "", "One cell type cannot tell: there is no other to train on."
    elif len(above):
        best = above.loc[above["difference"].idxmax()]
        word = f"{len(above)} of {len(sets)} above own"
        verdict = (
            f"{len(above)} of {count(len(sets), 'other training set')} "
            f"{'scores' if len(above) == 1 else 'score'} above the cell type's own data (AUROC "
            f"{number(own)}), most {spoken(best['training_set'])} by "
            f"{number(best['difference'], sign=True)} (95% interval "
            f"{interval(best['low'], best['high'], sign=True)}, not corrected for the number of "
            "sets)."
        )
    else:
        word = "no gain shown"
        verdict = (
            f"None of {count(len(sets), 'other training set')} scores above the cell type's own "
            f"data (AUROC {number(own)}) by more than chance: differences are {span}"
            + (" and every 95% interval includes 0." if not len(below) else ".")
        )
    more = []
    if len(below):
        names = join(spoken(name) for name in below["training_set"])
        more.append(f"Below own by more than chance: {names}.")
    effects = []
    for key, words in (("more_diverse", "more diverse data"), ("more_data", "more data")):
        if metrics[key] is not None:
            low, high = metrics[f"{key}_ci95"]
            effects.append(
                f"{words} {number(metrics[key], 4, sign=True)} "
                f"(95% interval {interval(low, high, 4, sign=True)})"
            )
    if effects:
        more.append(
            f"All other cell types instead of one of them change AUROC as follows: {join(effects)}."
        )

    def drawn() -> str:
        listed = "; ".join(
            f"{spoken(row.training_set)} {number(row.difference, sign=True)} "
            f"({interval(row.low, row.high, sign=True)})"
            for row in sets.itertuples()
        )
        return (
            "Dots with 95% intervals, a row for each training set: AUROC minus that of the cell "
            f"type's own model. {listed}."
        )

    def curve() -> str:
        table = run.table("training_sets/curve_means.csv", "n_cells examples auroc gain low high")
        last = table[table["n_cells"] == table["n_cells"].max()].set_index("examples")["gain"]
        ends = join(f"{number(gain, sign=True)} with {what}" for what, gain in last.items())
        return (
            "Two lines: AUROC above that of one other cell type, against the number of cell types "
            f"trained on. At {table['n_cells'].max()} cell types: {ends} of their training genes."
        )

    beside, said = published(run, "training_sets")
    table = Table(
        f"Training sets, {model}: means over tested cell types",
        [
            "training set",
            "tested cell types",
            "cell types trained on",
            "AUROC",
            "minus own",
            "95% interval",
        ],
        [
            [
                spoken(row.training_set),
                f"{row.n:,}",
                f"{row.n_cells:.3g}",
                number(row.auroc),
                "–" if row.training_set == "own" else number(row.difference, 4, sign=True),
                "–" if row.training_set == "own" else interval(row.low, row.high, 4, sign=True),
            ]
            for row in means.itertuples()
        ],
        text=["training set"],
    )
    return Section(
        "training-sets",
        "What is gained by training on several cell types?",
        verdict,
        word=word,
        more=more + said,
        figures=run.figures(
            (
                "training_sets/sets.png",
                drawn,
                f"Training sets. {model}, trained on each set and tested on the same test genes "
                "as the cell type's own model.",
            ),
            (
                "training_sets/curve.png",
                curve,
                "More data, or more diverse data? Trained on 1, 2, 4, ... other cell types, with "
                "all their training genes and with as many as one cell type has.",
            ),
        )
        + beside,
        tables=[table],
        method=[
            "Inclusive sets contain the tested cell type's own training genes, exclusive ones do "
            "not; high: those whose expression correlates most with it, somewhat: a wider band, "
            "random: some drawn at random, all: all. Differences are paired by cell type and gene; "
            "intervals are over cell types and genes, each of one set, not corrected for their "
            "number (docs/training_sets.md).",
        ],
        files=[
            "metrics/training_sets.json",
            "plots/training_sets/means.csv",
            "predictions/training_sets.parquet",
        ],
    )


def spoken(name: object) -> str:
    """Write a name of code as words."""
    return str(name).replace("_", " ")


def scalars(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of a stage by name; an interval stands behind its value."""
    found = []
    for key, value in metrics.items():
        if key in ("dataset", "verdict") or key.endswith("_ci95"):
            continue
        text = plain(value)
        if metrics.get(f"{key}_ci95"):
            text += f" (95% interval {interval(*metrics[f'{key}_ci95'])})"
        found.append((spoken(key), text))
    return found


def plain(value: Any) -> str:
    """Write any value of a table: whole numbers whole, others with three decimals or digits."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        small = 0 < abs(value) < 0.01
        return f"{value:.3g}".replace("-", "−") if small else number(value)
    if isinstance(value, list):
        return ", ".join(plain(one) for one in value)
    return str(value)


def cited(metrics: dict[str, Any], *words: str) -> str:
    """Cite the numbers of a stage whose names contain one of these words, as a sentence."""
    found = [
        f"{name} {value}" for name, value in scalars(metrics) if any(word in name for word in words)
    ]
    return f" In numbers: {', '.join(found)}." if found else ""


def as_table(caption: str, table: pd.DataFrame) -> Table:
    """Return a table as a stage wrote it."""
    numeric = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
    return Table(
        caption,
        [spoken(name) for name in table.columns],
        [
            [
                plain(value.item() if hasattr(value, "item") else value)
                if name in numeric
                else ("" if pd.isna(value) else str(value))
                for name, value in zip(table.columns, row, strict=True)
            ]
            for row in table.itertuples(index=False)
        ],
        text=[spoken(name) for name in table.columns if name not in numeric],
    )


def generated(run: Run) -> Section:
    """Answer: What do high and low genes look like? From `gan`."""
    metrics = run.metrics("gan")
    verdict, rest = lead_and_rest(run.text("gan/verdict.txt"))
    quality = run.table("gan/quality.csv", "measure value") if run.has("gan/quality.csv") else None

    def alt(text: str, *words: str) -> Callable[[], str]:
        return lambda: text + cited(metrics, *words)

    figures = run.figures(
        (
            "gan/means.png",
            alt(
                "Heat maps of bins by marks: mean generated signals of high and of low genes, "
                "beside the means of real held-out genes, and their differences.",
                "profile",
            ),
            "Mean signals. Generated genes of either label beside real ones that the generator was "
            "not trained on.",
        ),
        (
            "gan/profiles.png",
            alt(
                "Lines with bands around the TSS, a panel for each mark: generated and real genes, "
                "high and low.",
                "profile",
            ),
            "Profiles of the marks around the TSS: means by bin, with bands, of generated and of "
            "held-out real genes.",
        ),
        (
            "gan/genes.png",
            alt(
                "Sheet of single generated genes, each beside the real gene nearest to it.",
                "nearest",
                "distance",
                "copy",
            ),
            "Single genes. Each generated gene beside its nearest real one: alike in kind, and not "
            "a copy.",
        ),
        (
            "gan/correlation.png",
            alt(
                "Two matrices, mark by mark: correlation of marks in generated and in real genes.",
                "correlation",
            ),
            "Which marks go together, in generated and in real genes.",
        ),
        (
            "gan/walk.png",
            alt(
                "Filmstrip, from left to right: four generated genes, a row each, whose label is "
                "moved from low to high in steps."
            ),
            "From low to high. Each row keeps its latent vector; only the label moves.",
        ),
        (
            "gan/cells.png",
            alt("Mean generated signals of high and of low genes, cell types side by side."),
            "Mean generated signals by cell type: the generator is told label and cell type.",
        ),
        (
            "gan/quality.png",
            alt(
                "How well generated genes can be told from real ones, beside real against real and "
                "beside simpler generators.",
                "separability",
                "train on generated",
            ),
            "How far to trust the generator. All measures are on held-out genes, at equal sample "
            "sizes.",
        ),
    )
    moving = run.figures(
        (
            "gan/walk.gif",
            alt("Animation of the walk from low to high that the filmstrip shows."),
            "the walk from low to high, moving",
        )
    )
    return Section(
        "generated",
        "What do high and low genes look like?",
        verdict or "No verdict was written.",
        word=str(metrics.get("verdict") or ""),
        more=rest,
        numbers=scalars(metrics),
        figures=figures,
        animations=moving,
        tables=[] if quality is None else [as_table("How far to trust generated genes", quality)],
        method=[
            "A generative adversarial network, conditioned on label and cell type, is trained on "
            "the training genes of all cell types. Its signals are integer counts. Every measure "
            "of quality is on genes that it was not trained on, beside what real genes reach "
            "against real genes.",
        ],
        files=["metrics/gan.json", *(["plots/gan/quality.csv"] if quality is not None else [])],
    )


def looked_for(run: Run) -> Section:
    """Answer: What does the classifier look for? From `interpret`."""
    metrics = run.metrics("interpret")
    verdict, rest = lead_and_rest(run.text("interpret/verdict.txt"))
    marks = run.table("interpret/marks.csv", "mark") if run.has("interpret/marks.csv") else None

    def alt(text: str, *words: str) -> Callable[[], str]:
        return lambda: text + cited(metrics, *words)

    def code() -> str:
        text = "Summary, a row for each mark: sign, size and place of its effect on the prediction."
        if marks is not None:
            shown = as_table("", marks)
            told = [
                f"{row[0]}: "
                + ", ".join(
                    f"{name} {value}"
                    for name, value in list(zip(shown.head, row, strict=True))[1:4]
                )
                for row in shown.rows[:10]
            ]
            text += f" {'; '.join(told)}."
        return text

    return Section(
        "classifier",
        "What does the classifier look for?",
        verdict or "No verdict was written.",
        word=str(metrics.get("verdict") or ""),
        more=rest,
        numbers=scalars(metrics),
        figures=run.figures(
            (
                "interpret/code.png",
                code,
                "The code of histones: for each mark, what it does to the prediction and where, by "
                "every method.",
            ),
            (
                "interpret/attribution.png",
                alt(
                    "Heat map of marks by position: mean attribution for high genes.",
                    "attribution",
                    "sum",
                    "stability",
                ),
                "Integrated gradients of test genes, averaged: how much each bin of each mark adds "
                "to the score.",
            ),
            (
                "interpret/maximisation.png",
                alt(
                    "Inputs optimised for the highest class score, without and with the generator "
                    "as a constraint, side by side.",
                    "maximisation",
                ),
                "Activation maximisation. Left as in DeepChrome 2016: an input optimised for the "
                "class score; right the same within what the generator can make.",
            ),
            (
                "interpret/occlusion.png",
                alt("Change of the score when a mark or a region is taken away.", "occlusion"),
                "Occlusion by mark and by region: how the score changes without them.",
            ),
            (
                "interpret/attention.png",
                alt("Attention over bins and over marks, means over test genes.", "attention"),
                "Attention of the model over bins and marks.",
            ),
        ),
        tables=[] if marks is None else [as_table("Marks: sign and place of their effect", marks)],
        method=[
            "Attributions are of test genes, by the models of this run, and tell what the models "
            "use, not what causes expression.",
        ],
        files=[
            "metrics/interpret.json",
            *(["plots/interpret/marks.csv"] if marks is not None else []),
        ],
    )
