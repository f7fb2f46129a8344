"""The expectations whose severity may be set: judgements, by a short key of each.

The rest are facts without which nothing later can be computed: columns, bins, splits, labels.
"""

SEVERITIES = {
    "max_count": "critical",
    "label_rule": "critical",
    "class_balance": "warning",
    "constant_mark": "warning",
    "common_factor": "warning",
    "h3k4me3_at_tss": "warning",
    "h3k36me3_at_tss": "warning",
    "h3k4me1_with_h3k4me3": "warning",
    "label_auroc": "warning",
    "downstream": "warning",
    "across_splits": "critical",
    "within_split": "warning",
    "shared_tss": "warning",
    "chromosome_zero": "warning",
    "mark_chromosome_zero": "warning",
    "gene_zero": "warning",
    "missing_genes": "warning",
    "copy_of": "critical",
    "swapped_with": "warning",
    "exchanged_marks": "warning",
    "scale": "warning",
    "mark_missing": "critical",
}
"""By key, the default (docs/expectations.md gives each one's reason)."""
