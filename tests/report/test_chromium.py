"""The page as Chromium shows and prints it."""

import re
from pathlib import Path

import pytest

from chromium import EXECUTABLE, Chromium
from stand_in import DRAWN_HERE, FIGURES, SECTIONS, made_page, write

needs_chromium = pytest.mark.skipif(
    EXECUTABLE is None, reason="Chromium is not installed (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    with Chromium() as chromium:
        yield chromium


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_in_chromium(run, browser, width):
    made_page(run)
    browser.open(run.path / "reports/index.html", width)
    assert browser.complaints() == []
    assert browser.requests() == [(run.path / "reports/index.html").as_uri()]
    loaded = browser.evaluate("[...document.images].map(one => one.complete && one.naturalWidth)")
    assert len(loaded) == sum(map(len, FIGURES.values())) + 1 + DRAWN_HERE
    assert all(loaded)
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    for address in browser.evaluate("[...document.links].map(one => one.href)"):
        path, _, anchor = address.removeprefix("file://").partition("#")
        assert Path(path).is_file(), address
        if anchor:
            assert browser.evaluate(f"document.getElementById({anchor!r}) !== null"), address


@needs_chromium
def test_print_in_chromium(run, browser):
    made_page(run)
    browser.open(run.path / "reports/index.html")
    folded = "document.querySelectorAll('details:not([open])').length"
    before = browser.evaluate(folded)
    assert before > len(SECTIONS)
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate(folded) == 0
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate(folded) == before
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 4
    assert browser.complaints() == []


@needs_chromium
def test_chromium_would_notice(tmp_path, browser):
    """A broken figure, a console error, a request and a page that is too wide are all seen."""
    write(
        tmp_path / "bad.html",
        "<img src='data:image/png;base64,AAAA'><img src='gone.png'>"
        "<div style='width: 900px'>wide</div><script>fail()</script>",
    )
    browser.open(tmp_path / "bad.html", 390)
    assert len(browser.complaints()) >= 1
    assert any("gone.png" in address for address in browser.requests())
    assert browser.evaluate("[...document.images].map(one => one.naturalWidth)") == [0, 0]
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
