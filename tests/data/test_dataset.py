"""A dataset is trained on only where its content is what validation passed."""

import json

import pytest

from deepchrome.data.dataset import Dataset, check_validated
from deepchrome.errors import DeepChromeError


@pytest.fixture
def data(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"cells": [], "hash": "abc"}))
    return Dataset(tmp_path)


def test_the_content_that_passed_is_accepted(data, tmp_path):
    passed = tmp_path / "validate.json"
    passed.write_text(json.dumps({"dataset": "abc"}))
    check_validated(data, passed)


@pytest.mark.parametrize(
    ("content", "named"),
    [('{"dataset": "other"}', "other"), ("{", "none"), (None, "none")],
)
def test_other_content_is_refused(content, named, data, tmp_path):
    passed = tmp_path / "validate.json"
    if content is not None:
        passed.write_text(content)
    with pytest.raises(DeepChromeError, match=rf"not passed.*is of {named}, the dataset is abc"):
        check_validated(data, passed)
