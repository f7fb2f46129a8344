"""A project with all of a run's files."""

import shutil
from pathlib import Path

import pytest

from conftest import Project
from stand_in import make_run


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made")
    make_run(path)
    return path


@pytest.fixture
def run(made, project) -> Project:
    """A project with all of a run's files."""
    shutil.copytree(made, project.path, dirs_exist_ok=True)
    project.set("compare.resamples", 100)
    return project
