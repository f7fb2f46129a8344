"""Whether the published labels are right: what `ingest` found."""

from deepchrome.figures.text import count
from deepchrome.report.cell_names import cell_name
from deepchrome.report.page import Section, Table
from deepchrome.report.run import Run


def section(run: Run) -> Section:
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
