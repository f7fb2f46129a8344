"""Data Docs: equal pages for equal results, and no markup but their own."""

import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import great_expectations.expectations as gxe
import pandas as pd
import pytest

from conftest import ROOT
from deepchrome.data.expectations import CRITICAL, TableExpectations
from deepchrome.data.suites import Suites

MARKUP = """<script>alert("x")</script><img src=x onerror='y'>&lt;b&gt; $a ${b} [c](javascript:d)"""


def stated(name: str) -> TableExpectations:
    """Return expectations of every kind of result, whose table, columns and words hold a name."""
    genes = [f"{name} {i}" for i in range(30)]
    rows = pd.DataFrame({"gene_id": genes, "fault": name, "n": 5.0, "m": 1.0})
    said = {"severity": CRITICAL, "description": f"as {name}", "notes": f"do {name}"}
    return TableExpectations(
        rows,
        [
            gxe.ExpectColumnValuesToBeNull(column="fault", **said),
            gxe.ExpectColumnValuesToBeBetween(column="n", max_value=1, **said),
            gxe.ExpectColumnMaxToBeBetween(column="n", max_value=1, **said),
            gxe.ExpectColumnValuesToBeUnique(column="fault", **said),
            gxe.ExpectColumnValuesToBeInSet(column="gene_id", value_set=[name], **said),
            gxe.ExpectColumnDistinctValuesToContainSet(
                column="fault", value_set=[name, "a"], **said
            ),
            gxe.ExpectColumnDistinctValuesToEqualSet(column="fault", value_set=[name], **said),
            gxe.ExpectColumnPairValuesToBeEqual(column_A="n", column_B="m", **said),
            gxe.ExpectTableColumnsToMatchOrderedList(column_list=[name], **said),
            gxe.ExpectColumnMaxToBeBetween(column=f"no {name}", max_value=1, **said),
        ],
        "gene_id",
    )


def build(folder: Path, name: str) -> None:
    suites = Suites(name)
    suites.check(name, stated(name))
    suites.build_docs(folder)


class Elements(HTMLParser):
    """Counts a page's elements and attributes, and keeps what it shows."""

    def __init__(self, page: str):
        super().__init__()
        self.found: Counter = Counter()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found[tag] += 1
        self.found.update(f"{tag} {name}" for name, _ in attrs)


def elements(folder: Path) -> list[Counter]:
    pages = sorted(folder.rglob("*.html"), key=lambda page: page.parts[-2:])
    return [Elements(page.read_text(encoding="utf-8")).found for page in pages]


@pytest.mark.parametrize(
    "name", [MARKUP, "../../up", ".hidden", '" onclick="x', "</script><svg/onload=x>"]
)
def test_names_are_no_markup(name, tmp_path):
    build(tmp_path / "plain/docs", "plain")
    build(tmp_path / "marked/docs", name)
    plain, marked = elements(tmp_path / "plain"), elements(tmp_path / "marked")
    assert len(plain) == 3
    assert sorted(map(str, marked)) == sorted(map(str, plain))
    for page in (tmp_path / "marked").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "<svg/" not in text
        assert page.is_relative_to(tmp_path / "marked/docs")


def test_equal_results_give_equal_pages(tmp_path):
    """Whatever the time, its zone and the order of sets in each process."""
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = ['tests', 'tests/data']\n"
        "import test_data_docs; test_data_docs.build(Path(sys.argv[1]), 'E003')"
    )
    contents = []
    for number, zone in enumerate(("UTC", "America/New_York")):
        folder = tmp_path / str(number)
        subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            cwd=ROOT,
            env={"TZ": zone, "PYTHONHASHSEED": str(number), "PYTHONPATH": str(ROOT / "src")},
            check=True,
            capture_output=True,
        )
        contents.append(
            {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        )
    assert contents[0] == contents[1]
    assert any(path.name == "index.html" for path in contents[0])
