"""What is gained by training on several cell types: what `training_sets` found."""

from deepchrome.errors import joined
from deepchrome.figures import training_sets as figures
from deepchrome.figures.text import count, interval, number, spoken
from deepchrome.report.page import Section, Table
from deepchrome.report.published import published
from deepchrome.report.run import Run


def section(run: Run) -> Section:
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
        names = joined(spoken(name) for name in below["training_set"])
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
            "All other cell types instead of one of them change AUROC as follows: "
            f"{joined(effects)}."
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
            {
                "training_sets/sets.png": lambda: figures.sets_text(means, model),
                "training_sets/curve.png": lambda: figures.curve_text(
                    run.table(
                        "training_sets/curve_means.csv", "n_cells examples auroc gain low high"
                    )
                ),
            }
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
