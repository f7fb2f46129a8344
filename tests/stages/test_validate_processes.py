"""Many cell types are validated in processes, which must find what one process finds."""

from deepchrome.data.dataset import Dataset
from deepchrome.data.suites import Suites
from deepchrome.params import load
from deepchrome.stages import validate


def test_processes_find_what_one_process_finds(small, monkeypatch):
    small.ok("ingest")
    data, params = Dataset("data/dataset"), load("params.yaml").validate_

    def check() -> Suites:
        suites = Suites("data/dataset")
        validate.check(data, params, suites)
        return suites

    alone = check()
    monkeypatch.setattr(validate, "processes_for", lambda seconds, items: 2)
    together = check()
    assert {outcome.cell for outcome in alone.outcomes} == {*data.cells, validate.ALL}
    assert together.outcomes == alone.outcomes
    together.build_docs(small.path / "docs")
    assert (small.path / "docs" / "index.html").is_file()
