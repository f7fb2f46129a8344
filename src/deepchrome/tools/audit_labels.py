"""audit-labels: say which labels of a raw directory are wrong, why, and what to do."""

import json
from pathlib import Path

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from deepchrome.console import console, progress
from deepchrome.data.audit import LabelAudit, audit_labels
from deepchrome.data.label_rules import Audit
from deepchrome.data.sources import published
from deepchrome.errors import listing


def run(raw: Path, json_output: bool) -> None:
    """Print one row a cell type, or one JSON object and nothing else.

    Raises DeepChromeError for a fault of the raw directory or of its expression table.
    """
    if json_output:
        print(json.dumps(_as_json(audit_labels(raw)), indent=2, allow_nan=False))
        return
    with progress("audit", "cell types", len(published.cell_types(raw))) as advance:
        found = audit_labels(raw, advance)
    console.print(_table(found.audits))
    if found.genes_without_rpkm:
        console.print(
            f"Left out: {len(found.genes_without_rpkm):,} genes that the expression table lacks, "
            f"{listing(found.genes_without_rpkm)}"
        )
    if found.skipped:
        console.print(f"Skipped, no expression or empty files: {listing(found.skipped, 60)}")
    console.print(_conclusion(found), markup=True)


def _as_json(found: LabelAudit) -> dict[str, object]:
    """Return what a machine reads; `explained_share` is null where no label disagrees."""
    return {
        "cells": [
            audit.row()
            | {
                "disagree_share": round(audit.disagree / audit.genes, 4),
                "explained_share": _explained_share(audit),
            }
            for audit in found.audits
        ],
        "affected": len(found.affected),
        "skipped": found.skipped,
        "genes_without_rpkm": len(found.genes_without_rpkm),
    }


def _conclusion(found: LabelAudit) -> str:
    """Say how many cell types are affected, by what, and what to do."""
    n = len(found.audits)
    if not found.affected:
        return f"All labels of {n} cell types agree with RPKM > median."
    wrong = sum(audit.disagree for audit in found.affected)
    lines = [
        f"[bold yellow]{len(found.affected)} of {n} cell types are affected:[/] "
        f"{wrong:,} labels disagree with RPKM > median."
    ]
    text = sum(audit.verdict == "text" for audit in found.affected)
    if text:
        lines.append(
            f"In {text} the labels come from comparing the numbers as text. "
            "Set [bold]data.labels: rpkm[/] in params.yaml to make them from RPKM."
        )
    unexplained = [audit.cell for audit in found.affected if audit.verdict == "unexplained"]
    if unexplained:
        lines.append(
            f"Neither rule explains the labels of {escape(listing(unexplained))}. Are labels and "
            "expression of the same cell type and release? "
            "If the table is right, [bold]data.labels: rpkm[/] makes labels from it."
        )
    return "\n".join(lines)


def _explained_share(audit: Audit) -> float | None:
    return round(audit.explained / audit.disagree, 4) if audit.disagree else None


def _table(audits: list[Audit]) -> Table:
    table = Table(
        title="Published labels beside RPKM > median",
        caption="disagree: labels that RPKM > median does not give; explained: share of those\n"
        "that comparing the numbers as text gives",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("cell type")
    for name in ("genes", "high by RPKM", "labelled high", "disagree", "explained"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    styles = {"numeric": "green", "text": "yellow", "unexplained": "red"}
    for audit in audits:
        share = _explained_share(audit)
        table.add_row(
            audit.cell,
            f"{audit.genes:,}",
            f"{audit.high:.1%}",
            f"{audit.published_high:.1%}",
            f"{audit.disagree / audit.genes:.1%}",
            "" if share is None else f"{share:.1%}",
            Text(audit.verdict, style=styles[audit.verdict]),
        )
    return table
