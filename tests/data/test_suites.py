"""Data Docs: the same bytes for the same data, and no markup out of the data."""

import hashlib
from html.parser import HTMLParser

import pandas as pd
import pytest

from deepchrome.data.expectations import WARNING, TableExpectations, absent, present
from deepchrome.data.suites import Suites

EVIL = "<script>evil()</script>"


class Scripts(HTMLParser):
    """Collects the text of script elements, and which elements there are."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside, self.scripts, self.elements = False, [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        if tag == "script":
            self.inside = True
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def build(folder, evil=""):
    suites = Suites(f"data{evil}")
    table = pd.DataFrame({"gene_id": [f"a{evil}", "b"], "twin": [f"{evil}<blink>", None]})
    stated = [
        absent("twin", WARNING, f"no twin{evil} of $x", f"Remove{evil}"),
        present("gene_id", "names", "x"),
    ]
    for suite in (f"E003{evil}", "all cell types"):
        suites.check(suite, TableExpectations(table, stated, "gene_id"))
    suites.build_docs(folder)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_data_docs_of_the_same_data_are_the_same_bytes(tmp_path):
    first = build(tmp_path / "first")
    assert len([name for name in first if name.endswith(".html")]) == 5
    assert build(tmp_path / "other folder") == first
    for page in (tmp_path / "first").rglob("*.html"):
        assert "1970-01-01" not in page.read_text()


@pytest.mark.parametrize("evil", [EVIL, "</script>" + EVIL, "<blink>", "'\"><blink>"])
def test_names_and_texts_are_no_markup(evil, tmp_path):
    build(tmp_path, evil)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 5
    for page in pages:
        found = Scripts(page.read_text())
        assert "blink" not in found.elements
        assert not [text for text in found.scripts if text.startswith("evil()")]
    assert any("evil" in page.read_text() or "blink" in page.read_text() for page in pages)
