"""Whether the relation is the same in every cell type: what `cross_cell` found."""

from deepchrome.evaluation.experiments import ROUNDING
from deepchrome.figures import cross_cell as figures
from deepchrome.figures.text import interval, number
from deepchrome.report.page import Section
from deepchrome.report.published import published
from deepchrome.report.run import Run


def section(run: Run) -> Section:
    """Answer: Is the relation the same in every cell type? From `cross_cell`."""
    metrics = run.metrics("cross_cell")
    matrix = run.table("cross_cell/auroc.csv", "train_cell test_cell auroc")
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
    verdict, rest = run.verdict("cross_cell")
    gap_low, gap_high = metrics["gap_ci95"]
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
            {
                "cross_cell/auroc.png": lambda: figures.matrix_text(
                    matrix, metrics["within_mean"], metrics["between_mean"]
                ),
                "cross_cell/controls.png": lambda: figures.controls_text(
                    run.table("cross_cell/controls.csv", "statistic auroc low high").set_index(
                        "statistic"
                    )["auroc"]
                ),
                "cross_cell/decomposition.png": lambda: figures.decomposition_text(
                    run.table("cross_cell/cells.csv", "cell columns rows own"),
                    run.table("cross_cell/decomposition.csv", "term share"),
                ),
                "cross_cell/lineage.png": lambda: figures.lineage_gap_text(
                    run.table("cross_cell/pairs.csv", "train_cell test_cell same_lineage loss")
                ),
                "cross_cell/clusters.png": lambda: figures.clusters_text(
                    matrix["train_cell"].nunique(),
                    run.table("cross_cell/clusters.csv", "clusters adjusted_rand p").iloc[0],
                ),
            }
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
