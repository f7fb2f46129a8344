"""The HTML of a page."""

import re
from itertools import pairwise

from stand_in import DRAWN_HERE, FIGURES, Parsed, made_page


def test_names_are_escaped(run):
    page = made_page(run)
    for name in ("<i>E&9", "<labels>", "<training>"):
        assert name not in page
    assert "&lt;i&gt;E&amp;9" in page


def test_structure_for_readers_without_eyes_or_network(run):
    page = Parsed(made_page(run))
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all(
        "meta"
    )
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    images = page.all("img")
    assert len(images) == sum(map(len, FIGURES.values())) + 1 + DRAWN_HERE
    for image in images:
        assert image["src"].startswith("data:image/")
        assert len(image["alt"]) > 50
    told = [image["alt"] for image in images]
    assert len(set(told)) >= len(told) - 2  # published results are alike here
    assert sum(bool(re.search(r"\d\.\d", text)) for text in told) >= 15
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        target = link["href"]
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (run.path / "reports" / target).is_file(), target
    assert len(page.all("caption")) == len(page.all("table"))
