"""validate: every planted fault is caught by the expectation meant for it, and nothing else is."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import faults
from conftest import REAL, ROOT, sealed
from datasets import write_info
from deepchrome import MARKS
from deepchrome.data import reference
from deepchrome.data.dataset import Dataset, write_signals
from deepchrome.data.expectations import TableExpectations, cell_types, key_of
from deepchrome.data.severities import SEVERITIES
from deepchrome.data.suites import Outcome, Suites
from deepchrome.errors import DeepChromeError
from deepchrome.params import DataParams, ValidateParams, load
from deepchrome.simulation import simulator
from deepchrome.stages import ingest, validate

CELLS = ["E003", "E116", "E123"]
PARAMS = ValidateParams(max_count=10_000, class_balance=(0.05, 0.95))
ALL = validate.ALL


def make_dataset(folder: Path, cells: list[str], n: int, seed: int = 0) -> None:
    """Write a dataset of simulated cell types without the detour over raw files."""
    statistics = simulator.load_statistics()
    universe = reference.genes().drop_duplicates("gene_id").set_index("gene_id")
    genes = universe.sample(n, random_state=seed).sort_index()
    genes = genes[~genes.duplicated(["chrom", "tss"])]
    rpkm = simulator.expression(list(universe.index), cells, seed, statistics)
    labels, medians = [], {}
    for cell, column in zip(cells, rpkm.T, strict=True):
        values = pd.Series(column, universe.index)
        medians[cell] = float(values.median())
        own = values.loc[genes.index].to_numpy()
        X = simulator.counts(cell, own, genes["strand"].to_numpy(), seed, statistics)
        write_signals(folder / "signals" / f"{cell}.parquet", genes.index.to_numpy(), X)
        labels.append(
            pd.DataFrame(
                {
                    "cell": cell,
                    "gene_id": genes.index,
                    "rpkm": own,
                    "label": (own > medians[cell]).astype("int8"),
                    "published_label": (own > medians[cell]).astype("int8"),
                }
            )
        )
    sealed(pd.concat(labels), folder / "labels.parquet")
    genes = genes.rename(columns={"published_split": "split"}).reset_index()
    sealed(genes.assign(truncated=None), folder / "genes.parquet")
    write_info(folder, cells, rpkm_median=medians)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a good dataset; copy it before planting faults."""
    folder = tmp_path_factory.mktemp("validate") / "dataset"
    make_dataset(folder, CELLS, 700)
    return folder


@pytest.fixture
def dataset(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "dataset"))


def unmet(folder: Path, suite: str = ALL) -> list[Outcome]:
    """Return the expectations that the dataset does not meet: all, or those of one cell type."""
    suites = Suites(str(folder))
    data = Dataset(folder)
    if suite == ALL:
        validate.check(data, PARAMS, suites)
    else:
        labels = data.labels[data.labels["cell"] == suite]
        validate.check_cell(data, suite, labels, PARAMS, suites)
    return [outcome for outcome in suites.outcomes if not outcome.success]


def run(folder: Path, params: ValidateParams = PARAMS) -> None:
    """Run the stage with its outputs beside the dataset."""
    root = folder.parent
    validate.run(
        params,
        str(folder),
        str(root / "metrics/validate.json"),
        str(root / "plots/validate"),
        str(root / "reports/data_docs"),
    )


# name: (fault, suite, what its message holds)
CRITICAL = {
    "signals missing": (
        faults.remove_file("signals/E116.parquet"),
        "E116",
        "E116.parquet can be read.*no such file",
    ),
    "signals cut off": (
        faults.cut_file("signals/E116.parquet"),
        "E116",
        "E116.parquet can be read.*damaged or cut off",
    ),
    "column missing": (
        faults.drop_column("labels", "label"),
        ALL,
        "labels.parquet has the columns.*found: cell, gene_id, rpkm, published_label",
    ),
    "labels cut off": (faults.cut_file("labels.parquet"), ALL, "labels.parquet can be read"),
    "columns in another order": (
        faults.reorder_columns("E116"),
        "E116",
        "columns gene_id, bin, H3K27me3.*found: gene_id, bin, H3K36me3",
    ),
    "fractional counts": (
        faults.fractional("E116"),
        "E116",
        "H3K4me1 in E116.parquet holds whole numbers.*double",
    ),
    "text for a count": (
        faults.set_signal("E116", "H3K4me1", "many"),
        "E116",
        "H3K4me1 in E116.parquet holds whole numbers.*string",
    ),
    "negative count": (
        faults.set_signal("E116", "H3K4me1", -3),
        "E116",
        r"H3K4me1 are not negative.*1 of \d+ genes.*ENSG\d+ \(-3\)",
    ),
    "huge count": (
        faults.set_signal("E116", "H3K4me1", 20_000),
        "E116",
        r"H3K4me1 are at most 10,000.*ENSG\d+ \(20000\).*validate.max_count",
    ),
    "null count": (faults.set_signal("E116", "H3K4me1", None), "E116", "no count is missing"),
    "null gene": (faults.set_signal("E116", "gene_id", None), "E116", "names a gene"),
    "bin 0": (faults.set_signal("E116", "bin", 0), "E116", "bins 1 to 100 once.*ENSG"),
    "bin repeated": (faults.set_signal("E116", "bin", 2), "E116", "bins 1 to 100 once.*ENSG"),
    "bin missing": (
        faults.drop_rows("E116", slice(50, 51)),
        "E116",
        r"100 rows.*1 of \d+ genes.*ENSG\d+ \(99\)",
    ),
    "file cut off within a gene": (
        faults.drop_rows("E116", slice(-30, None)),
        "E116",
        r"100 rows.*ENSG\d+ \(70\)",
    ),
    "file cut off between genes": (
        faults.drop_rows("E116", slice(-3000, None)),
        "E116",
        r"100 rows.*30 of \d+ genes.*ENSG\d+ \(0\)",
    ),
    "gene repeated": (
        faults.repeat_gene("E116"),
        "E116",
        r"100 rows.*1 of \d+ genes.*ENSG\d+ \(200\)",
    ),
    "gene repeated elsewhere": (
        faults.repeat_gene("E116", at_end=True),
        "E116",
        "each gene stands once.*ENSG",
    ),
    "gene in two splits": (faults.gene_in_two_splits, ALL, "in one split.*ENSG"),
    "unknown split": (
        faults.set_cell("genes", "split", "dev"),
        ALL,
        r"one of train, valid, test.*\(dev\)",
    ),
    "null split": (faults.set_cell("genes", "split", None), ALL, "every gene has a split"),
    "split without genes": (
        faults.drop_split("E116", "valid"),
        "E116",
        "genes in the train, valid and test split",
    ),
    "label missing": (faults.drop_label, "E003", "every gene with signals has a label"),
    "label 2": (faults.set_cell("labels", "label", 2), "E003", r"0 \(low\) or 1.*ENSG\d+ \(2\)"),
    "RPKM missing": (faults.set_cell("labels", "rpkm", None), "E003", "every gene has an RPKM"),
    "cell type without labels": (
        faults.set_info(cells=[*CELLS, "E004"], rpkm_median=dict.fromkeys([*CELLS, "E004"], 1.0)),
        ALL,
        "labels of every cell type",
    ),
    "labels shuffled": (
        faults.shuffle_labels("E116", with_rpkm=False),
        "E116",
        "exactly where RPKM is above.*shuffled",
    ),
    "labels by text": (
        faults.labels_by_text("E003"),
        "E003",
        "exactly where RPKM is above.*comparing numbers as text",
    ),
    "cell type copied": (
        faults.copy_signals("E003", "E123"),
        ALL,
        r"no cell type has the signals of another.*E003 \(E123",
    ),
    "test genes copied into train": (
        faults.copy_genes("test", "train", 20),
        "E003",
        r"signals of a gene in another split.*ENSG\d+ \(train, as ENSG\d+ in test\)",
    ),
    "mark constant in all cell types": (
        faults.constant_mark("H3K9me3", CELLS),
        ALL,
        "H3K9me3 is not the same number throughout in all cell types",
    ),
}
WARNING = {
    "cell types swapped": (
        faults.swap_signals("E003", "E123"),
        ALL,
        r"agree with its own labels.*E003 \(E123\), E123 \(E003\)",
    ),
    "H3K4me3 and H3K27me3 exchanged": (
        faults.exchange_marks(["E116"], "H3K4me3", "H3K27me3"),
        "E116",
        "H3K4me3 rises most at the TSS",
    ),
    "H3K36me3 and H3K9me3 exchanged": (
        faults.exchange_marks(["E116"], "H3K36me3", "H3K9me3"),
        "E116",
        "H3K36me3 is lowest at the TSS",
    ),
    "H3K4me1 and H3K9me3 exchanged": (
        faults.exchange_marks(["E116"], "H3K4me1", "H3K9me3"),
        "E116",
        "H3K4me1 goes with H3K4me3",
    ),
    "H3K27me3 and H3K9me3 exchanged": (
        faults.exchange_marks(["E116"], "H3K27me3", "H3K9me3"),
        ALL,
        r"each mark correlates with itself.*E116 \(H3K27me3 and H3K9me3\)",
    ),
    "H3K4me3 and H3K36me3 exchanged in all": (
        faults.exchange_marks(CELLS, "H3K4me3", "H3K36me3"),
        "E003",
        "H3K4me3 rises most at the TSS",
    ),
    "bins reversed": (
        faults.reverse_bins("E116"),
        "E116",
        r"on the \+ strand H3K36me3.*Bins run the other way",
    ),
    "strand ignored": (
        faults.orient_minus_strand("E116"),
        "E116",
        "on the - strand H3K36me3.*Bins run the other way",
    ),
    "mark scaled by 10": (
        faults.scale_mark("E116", "H3K9me3", 10),
        "E116",
        r"H3K9me3 are not all multiples.*found: 10",
    ),
    "mark scaled by 20.5": (
        faults.scale_mark("E116", "H3K9me3", 20.5),
        ALL,
        r"H3K9me3 is within a factor of 8.*E116",
    ),
    "genes dropped": (
        faults.drop_genes("E116", 0.3),
        ALL,
        r"has all \d+ genes.*E116 \(\d+\)",
    ),
    "labels and RPKM shuffled": (
        faults.shuffle_labels("E116", with_rpkm=True),
        "E116",
        "marks tell high genes from low ones",
    ),
    "published labels by text": (
        faults.together(faults.labels_by_text("E003"), faults.set_info(labels="published")),
        "E003",
        r"exactly where RPKM is above.*genes \(\d+%\).*data.labels: rpkm corrects",
    ),
    "published labels shuffled, RPKM unknown": (
        faults.together(
            faults.shuffle_labels("E116", with_rpkm=False),
            faults.set_info(labels="published", rpkm_median=dict.fromkeys(CELLS)),
        ),
        "E116",
        "marks tell high genes from low ones",
    ),
    "mark constant in a cell type": (
        faults.constant_mark("H3K9me3", ["E116"]),
        "E116",
        "H3K9me3 is not the same number in every bin",
    ),
    "few genes high": (
        faults.together(
            faults.label_all("E116", 0),
            faults.set_info(labels="published", rpkm_median=dict.fromkeys(CELLS)),
        ),
        "E116",
        "between 5% and 95% of the genes are high; found: 0",
    ),
    "genes of a split copied within it": (
        faults.copy_genes("test", "test", 5),
        "E003",
        "signals of another gene in its split",
    ),
    "TSS shared across splits": (
        faults.share_tss,
        "E003",
        "shares its TSS.*as ENSG",
    ),
}


def caught(outcomes: list[Outcome], suite: str, words: str) -> list[Outcome]:
    """Return the outcomes of one suite whose message matches."""
    return [o for o in outcomes if o.cell == suite and re.search(words, o.message())]


def test_no_false_alarm(good: Path) -> None:
    assert unmet(good) == []


@pytest.mark.parametrize("name", CRITICAL)
def test_critical_fault_is_caught(name: str, dataset: Path) -> None:
    fault, suite, words = CRITICAL[name]
    fault(dataset)
    outcomes = unmet(dataset, suite)
    found = caught(outcomes, suite, words)
    assert [o.failure for o in found] == [True], "\n".join(o.message() for o in outcomes)
    assert not any(o.raised for o in outcomes)


@pytest.mark.parametrize("name", WARNING)
def test_suspicious_fault_is_warned_of(name: str, dataset: Path) -> None:
    fault, suite, words = WARNING[name]
    fault(dataset)
    outcomes = unmet(dataset, suite)
    assert caught(outcomes, suite, words), "\n".join(o.message() for o in outcomes)
    assert not any(o.failure for o in outcomes)


def test_outputs(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults.drop_genes("E116", 0.3)(dataset)
    run(dataset)
    root = dataset.parent
    metrics = json.loads((root / "metrics/validate.json").read_text())
    counts = pd.read_csv(root / "plots/validate/expectations.csv")
    assert metrics["dataset"] == "0123456789abcdef"
    assert metrics["warnings"] == 1
    assert metrics["failures"] == 0
    assert list(counts["cell"]) == [*CELLS, ALL]
    for column in ("expectations", "warnings", "failures"):
        assert counts[column].sum() == metrics[column]
    failed = pd.read_csv(root / "plots/validate/failed.csv")
    assert list(failed["severity"]) == ["warning"]
    assert "E116 (" in failed["found"][0]
    assert (root / "reports/data_docs/index.html").is_file()
    pages = {page.name for page in (root / "reports/data_docs/expectations").iterdir()}
    assert pages == {f"{name}.html" for name in [*CELLS, ALL]}
    printed = capsys.readouterr().out
    assert "warning: all cell types: expected: each cell type has all" in printed
    assert "Calculating" not in printed


def test_critical_failure_keeps_earlier_outputs(dataset: Path) -> None:
    run(dataset)
    root = dataset.parent

    def outputs() -> dict[Path, bytes]:
        kept = ("metrics", "plots", "reports/data_docs")
        return {
            path: path.read_bytes()
            for folder in kept
            for path in (root / folder).rglob("*")
            if path.is_file()
        }

    before = outputs()
    faults.repeat_gene("E116")(dataset)
    with pytest.raises(DeepChromeError, match=r"E116: expected: each gene has 100 rows"):
        run(dataset)
    assert outputs() == before
    assert (root / "reports/failed_data_docs/index.html").is_file()
    assert not list(root.rglob(".partial-*"))


def test_exception_in_an_expectation_is_a_failure(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cell_types.of_profile

    def without_columns(*args: Any) -> TableExpectations:
        stated = made(*args)
        return TableExpectations(stated.table.add_prefix("not "), stated.expectations)

    monkeypatch.setattr(cell_types, "of_profile", without_columns)
    outcomes = unmet(dataset, "E116")
    assert outcomes
    assert all(o.failure and o.raised for o in outcomes)
    assert "could not be computed" in outcomes[0].message()


def zero_on(cell: str, chrom: str, marks: tuple[str, ...]) -> faults.Fault:
    """Set marks to zero in the genes of one chromosome."""

    def plant(folder: Path) -> None:
        genes = pd.read_parquet(folder / "genes.parquet")
        there = set(genes.loc[genes["chrom"] == chrom, "gene_id"])
        path = folder / f"signals/{cell}.parquet"
        table = pd.read_parquet(path)
        table.loc[table["gene_id"].isin(there), list(marks)] = 0
        sealed(table, path)

    return plant


def test_a_mark_without_values_on_a_chromosome_is_warned_of(dataset: Path) -> None:
    zero_on("E116", "chr7", ("H3K9me3", "H3K4me1"))(dataset)
    outcomes = unmet(dataset, "E116")
    said = r"each mark has values on every chromosome.*chr7 \(H3K4me1, H3K9me3 in \d+ genes\)"
    assert caught(outcomes, "E116", said)
    assert [o.warning for o in outcomes] == [True], "\n".join(o.message() for o in outcomes)


def test_a_chromosome_without_values_is_warned_of(dataset: Path) -> None:
    zero_on("E116", "chr1", MARKS)(dataset)
    outcomes = unmet(dataset, "E116")
    assert caught(outcomes, "E116", r"every chromosome has values.*chr1 \(\d+ genes\)")[0].warning
    assert caught(outcomes, "E116", r"at least 95% of the genes.*\(all zero\)")[0].warning
    assert len(outcomes) == 2


def test_severities_are_as_params_say(dataset: Path) -> None:
    zero_on("E116", "chr1", MARKS)(dataset)
    labels = Dataset(dataset).labels.query("cell == 'E116'")
    severity = {"chromosome_zero": "critical", "gene_zero": "off"}
    params = PARAMS.model_copy(update={"severity": severity})
    suites = Suites("here", params.severity)
    validate.check_cell(Dataset(dataset), "E116", labels, params, suites)
    assert [o.failure for o in suites.outcomes if not o.success] == [True]
    with pytest.raises(DeepChromeError, match="every chromosome has values of some mark"):
        run(dataset, params)
    run(dataset, PARAMS.model_copy(update={"severity": dict.fromkeys(severity, "off")}))


def test_every_judgement_has_a_key_and_every_key_a_judgement(good: Path) -> None:
    suites = Suites(str(good))
    data = Dataset(good)
    validate.check(data, PARAMS, suites)
    defaults = {}
    for suite in (*CELLS, ALL):
        for result in suites.results(suite):
            one = result.expectation_config.to_domain_obj()
            if key := key_of(one):
                defaults[key] = one.severity.value
            else:
                assert one.severity.value == "critical"
    assert defaults == SEVERITIES


def test_signal_has_no_largest_value(dataset: Path) -> None:
    path = dataset / "signals/E116.parquet"
    table = pd.read_parquet(path)
    for mark in MARKS:
        table[mark] = (table[mark] * 1000.5).astype("float32")
    sealed(table, path)
    faults.set_info(values="signal")(dataset)
    assert unmet(dataset, "E116") == []


def peaks(n: int, per_mark: float) -> np.ndarray:
    """Return heights of broad domains, one value each, as float32 of shape=(n, bins, marks)."""
    rng = np.random.default_rng(0)
    X = np.zeros((n, 100, len(MARKS)), np.float32)
    for gene, mark in np.ndindex(n, len(MARKS)):
        for _ in range(rng.poisson(per_mark)):
            start, length = rng.integers(-60, 100), rng.choice([4, 10, 50, 200])
            X[gene, max(start, 0) : max(start + length, 0), mark] = rng.integers(1, 4)
    return X


@pytest.mark.parametrize("per_mark", [0.2, 3])
def test_agreement_by_chance_is_no_copy_and_a_copy_is_one(per_mark: float, dataset: Path) -> None:
    data = Dataset(dataset)
    genes = data.load("E116").gene_id
    X = peaks(len(genes), per_mark)
    write_signals(data.signals_path("E116"), genes, X)
    faults.set_info(values="signal")(dataset)
    assert not any(o.failure for o in unmet(dataset, "E116"))
    split = data.genes["split"].loc[genes].to_numpy(object)
    counted = np.count_nonzero(X.reshape(len(X), -1), axis=1)
    train, test = (counted * (split == name) for name in ("train", "test"))
    X[train.argmax()] = X[test.argmax()]
    write_signals(data.signals_path("E116"), genes, X)
    copied = caught(unmet(dataset, "E116"), "E116", "signals of a gene in another split")
    assert [o.failure for o in copied] == ([True] if per_mark == 3 else [])


def test_few_genes_raise_no_statistical_alarm(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["E003", "E123"], 30)
    assert unmet(tmp_path) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="the real sample is not here")
@pytest.mark.parametrize("labels", ["rpkm", "published"])
def test_real_sample_has_only_true_warnings(
    labels: Literal["rpkm", "published"], tmp_path: Path
) -> None:
    raw = Path(shutil.copytree(REAL / "roadmap-subset", tmp_path / "raw"))
    raw.chmod(0o755)
    shutil.copy(REAL / "57epigenomes.RPKM.pc.gz", raw)
    folder = tmp_path / "dataset"
    ingest.run(
        DataParams(
            raw=str(raw),
            labels=labels,
            genes="gencode_v10",
            split="published",
            split_seed=0,
            orient="genomic",
            h3k4me3_doubled=True,
        ),
        load(ROOT / "params.yaml").reads,
        "all",
        str(folder),
        str(tmp_path / "ingest.json"),
        str(tmp_path / "ingest"),
    )
    outcomes = unmet(folder)
    true = [caught(outcomes, ALL, r"has all 759 genes.*E123 \(349\)")]
    if labels == "published":
        true.append(caught(outcomes, "E003", "exactly where RPKM is above.*as text"))
    assert all(len(each) == 1 and each[0].warning for each in true)
    assert len(outcomes) == len(true), "\n".join(o.message() for o in outcomes)
