"""What high and low genes look like: what `gan` made."""

from deepchrome.figures import generated as figures
from deepchrome.report.page import Section, Table
from deepchrome.report.run import Run, numbers


def section(run: Run) -> Section:
    """Answer: What do high and low genes look like? From `gan`."""
    metrics = run.metrics("gan")
    verdict, rest = run.verdict("gan")
    quality = run.table("gan/quality.csv", "measure value") if run.has("gan/quality.csv") else None
    known = numbers(metrics)
    return Section(
        "generated",
        "What do high and low genes look like?",
        verdict or "No verdict was written.",
        word=str(metrics.get("verdict") or ""),
        more=rest,
        numbers=known,
        figures=run.figures(
            {
                "gan/means.png": lambda: figures.means_text(known),
                "gan/profiles.png": lambda: figures.profiles_text(known),
                "gan/genes.png": lambda: figures.genes_text(known),
                "gan/correlation.png": lambda: figures.correlation_text(known),
                "gan/walk.png": figures.walk_text,
                "gan/cells.png": figures.cells_text,
                "gan/quality.png": lambda: figures.quality_text(known),
            }
        ),
        animations=run.figures({"gan/walk.gif": figures.animation_text}),
        tables=[] if quality is None else [Table.of("How far to trust generated genes", quality)],
        method=[
            "A generative adversarial network, conditioned on label and cell type, is trained on "
            "the training genes of all cell types. Its signals are integer counts. Every measure "
            "of quality is on genes that it was not trained on, beside what real genes reach "
            "against real genes.",
        ],
        files=["metrics/gan.json", *(["plots/gan/quality.csv"] if quality is not None else [])],
    )
