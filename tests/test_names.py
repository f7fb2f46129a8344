"""Names that mean something to a shell, a page, a figure or a terminal: refused, or mere text."""

import html.parser
import json
import shutil
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import write_raw
from deepchrome import MARKS, N_BINS
from deepchrome.console import console, warn
from deepchrome.data.sources import names
from deepchrome.data.sources.combined import parts_of
from deepchrome.errors import DeepChromeError
from deepchrome.figures import gene as gene_figure
from deepchrome.figures import style
from deepchrome.report.page import Page, Section, Table, render

HOSTILE = ["[bold]", "gene[/x]", "a$b_c^{$", "$\\frac{1}$", "<script>alert(1)</script>", "&amp;"]
HOSTILE += ['" onload="x', "100%", ":smile:", "\\", "{{ 7*7 }}", "a_b^c"]
NO_CELLS = ["all", "Pooled", "NA", "nan", "None", "null", "a b", "-x", "_x", "x" * 101, "a\nb"]
NO_CELLS += ["[bold]", "a$b_c^{$", "<b>", "é", "a,b", "a:b", "{x}", "*"]


@pytest.mark.parametrize("name", NO_CELLS)
def test_folders_that_cannot_be_cell_types(small, name):
    (small.raw / "E003").rename(small.raw / name)
    for command in (["ingest"], ["audit-labels", "--raw", "data/raw/demo"]):
        message = small.refused(*command)
        assert "data/raw/demo: cell type: found " in message
        assert repr(name)[1:50] in message


def test_cell_types_that_differ_in_case_alone(small):
    shutil.copytree(small.raw / "E003", small.raw / "e003")
    assert "E003 and e003 differ in upper and lower case alone" in small.refused("ingest")


def test_what_a_killed_copy_left_is_no_cell_type(small):
    shutil.copytree(small.raw / "E003", small.raw / ".partial-12-E003")
    assert [part.cells for part in parts_of(small.raw)] == [["E003", "E123"]]


@pytest.fixture
def combined(tmp_path) -> Path:
    """A combined directory of two parts, and a folder beside it that is no part of it."""
    for name, cells in {"raw/a": ("E003",), "raw/b": ("E123",), "other": ("E066",)}.items():
        write_raw(tmp_path / name, cells, per_split=1)
    write_manifest(tmp_path / "raw", {"a": {}, "b": {}})
    return tmp_path / "raw"


def write_manifest(raw: Path, parts: object) -> None:
    (raw / "combined.json").write_text(json.dumps({"parts": parts}))


def test_parts_of_a_combined_directory(combined):
    assert [(one.name, one.cells) for one in parts_of(combined)] == [
        ("a", ["E003"]),
        ("b", ["E123"]),
    ]


@pytest.mark.parametrize(
    "name", ["../other", "..", ".", "", "a/../b", "/etc", "a\\b", "a\0b", "\n"]
)
def test_parts_that_lie_elsewhere(combined, name):
    write_manifest(combined, {"a": {}, name: {}})
    with pytest.raises(DeepChromeError, match="expected the name of a folder here"):
        parts_of(combined)


def test_a_part_that_is_a_link_out(combined):
    (combined / "c").symlink_to("../other", target_is_directory=True)
    write_manifest(combined, {"a": {}, "c": {}})
    with pytest.raises(DeepChromeError, match=r"raw/c: a link to .*other; expected a folder"):
        parts_of(combined)


def test_a_cell_type_in_two_parts(combined):
    shutil.copytree(combined / "a/E003", combined / "b/e003")
    with pytest.raises(DeepChromeError, match="E003 and e003 differ in upper and lower case"):
        parts_of(combined)
    (combined / "b/e003").rename(combined / "b/E003")
    with pytest.raises(DeepChromeError, match=r"cell type E003 is both in .*a and in .*b"):
        parts_of(combined)


MANIFESTS = {
    "no JSON": b"{",
    "no text": b"\xff\xfe{}",
    "empty": b"",
    "a list": b"[]",
    "no parts": b"{}",
    "parts as a list": b'{"parts": ["a", "b"]}',
    "parts as a number": b'{"parts": 1e999}',
    "no part": b'{"parts": {}}',
    "a part that is not there": b'{"parts": {"nothing": {}}}',
    "deep": b'{"parts":' * 100_000,
    "a long number": b'{"parts": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_damaged_manifests(combined, content):
    (combined / "combined.json").write_bytes(content)
    with pytest.raises(DeepChromeError, match=r"combined\.json: .*combine the directories again"):
        parts_of(combined)


@given(st.text() | st.sampled_from(["../../evil", "..", ".", "", "/", "a/b", "x" * 300, "-rf"]))
def test_file_names_stay_in_their_folder(name):
    safe = names.file_name(name)
    assert Path("/folder", safe).resolve().parent == Path("/folder")
    assert len(safe) <= 100
    assert safe[0] not in ".-"
    assert names.file_name(safe) == safe


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_shows_text_as_it_is(name, capsys):
    console.print(f"{name}: one", name)
    warn(f"{name} is odd")
    table = capsys.readouterr().out
    assert table == f"{name}: one {name}\nwarning: {name} is odd\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_figure_shows_text_as_it_is(name, tmp_path):
    with style.figure(tmp_path / "a.png", 9, 5) as (fig, ax):
        ax.plot([0, 1], [0, 1], label=name)
        ax.set_xticks([0, 1], [name, name])
        ax.set(title=name, xlabel=name)
        ax.legend(title=name)
        fig.suptitle(name)
        fig.canvas.draw()
        texts = [one for one in fig.findobj(mpl.text.Text) if one.get_text() == name]
        assert len(texts) >= 7
        assert not any(one.get_parse_math() for one in texts)
    assert plt.imread(tmp_path / "a.png").shape[2] == 4


@pytest.mark.parametrize("name", HOSTILE)
def test_a_gene_of_any_name_is_drawn(name, tmp_path):
    values = np.ones((N_BINS, len(MARKS)))
    gene_figure.gene(tmp_path / "a.png", name, values, values, values, "genomic", "counts")
    assert plt.imread(tmp_path / "a.png").ndim == 3


class _Read(html.parser.HTMLParser):
    """What a browser makes of a page: elements, and the text of each."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(f"{tag} {' '.join(name for name, _ in attrs)}")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # neither style nor script
            self.texts.append(data)


def page_of(name: str) -> _Read:
    table = Table.of(name, pd.DataFrame({"cell": [name]}))
    section = Section(
        "id", name, name, name, [name], [name], [name], [(name, name)], tables=[table],
        method=[name], files=[name],
    )  # fmt: skip
    whole = Page(name, name, name, [(name, name)], [section], [(name, name)], [name])
    read = _Read()
    read.feed(render(whole))
    read.close()
    return read


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_shows_text_as_it_is(name):
    read, harmless = page_of(name), page_of("liver")
    assert read.tags == harmless.tags
    assert "".join(read.texts).count(name) == "".join(harmless.texts).count("liver")
