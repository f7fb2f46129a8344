"""What the classifier looks for: what `interpret` found."""

from deepchrome.figures import interpretation as figures
from deepchrome.report.page import Section, Table
from deepchrome.report.run import Run, numbers


def section(run: Run) -> Section:
    """Answer: What does the classifier look for? From `interpret`."""
    metrics = run.metrics("interpret")
    verdict, rest = run.verdict("interpret")
    marks = run.table("interpret/marks.csv", "mark") if run.has("interpret/marks.csv") else None
    known = numbers(metrics)
    return Section(
        "classifier",
        "What does the classifier look for?",
        verdict or "No verdict was written.",
        word=str(metrics.get("verdict") or ""),
        more=rest,
        numbers=known,
        figures=run.figures(
            {
                "interpret/code.png": lambda: figures.code_text(marks),
                "interpret/attribution.png": lambda: figures.attribution_text(known),
                "interpret/maximisation.png": lambda: figures.maximisation_text(known),
                "interpret/occlusion.png": lambda: figures.occlusion_text(known),
                "interpret/attention.png": lambda: figures.attention_text(known),
            }
        ),
        tables=[] if marks is None else [Table.of("Marks: sign and place of their effect", marks)],
        method=[
            "Attributions are of test genes, by the models of this run, and tell what the models "
            "use, not what causes expression.",
        ],
        files=[
            "metrics/interpret.json",
            *(["plots/interpret/marks.csv"] if marks is not None else []),
        ],
    )
