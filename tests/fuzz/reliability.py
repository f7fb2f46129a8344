"""`python -m fuzz.reliability`: the tables of docs/reliability.md, from the tests themselves."""

import contextlib
import io
import sys
from collections import Counter

import pytest

from conftest import ROOT
from fuzz.__main__ import main as fuzz

KINDS = {
    "Ctrl-C, SIGTERM or kill -9 while a stage runs": (
        "nothing is half written; the next run gives the same numbers",
        "test_outputs.py::test_a_stage_that_is_ended",
        "stages/test_train.py::test_an_interrupted_run_goes_on_where_it_was",
        "stages/test_train.py::test_ctrl_c_leaves_earlier_outputs_and_no_process",
        "training/test_fit.py::test_an_interrupted_run_ends_like_an_uninterrupted_one",
        "test_pipeline.py::test_a_killed_run_goes_on_where_it_was",
    ),
    "kill -9 while an output is swapped in": (
        "the old output or the new one, whole",
        "test_files.py::test_killed_at_any_instant_of_the_swap",
        "test_files.py::test_clears_what_killed_runs_left_of_this_output_alone",
        "test_files.py::test_the_folder_that_a_killed_run_had_moved_away_is_put_back",
    ),
    "A full disk, folders without permission, 64 open files": (
        "one message; earlier outputs stay",
        "test_outputs.py::test_a_full_disk",
        "test_outputs.py::test_with_64_open_files",
        "test_files.py::test_a_folder_without_permission_is_refused",
        "test_files.py::test_an_error_of_the_system_is_told",
    ),
    "Memory that the system refuses": (
        "one message; earlier outputs stay",
        "test_cli.py::test_too_little_memory_is_no_fault_of_the_program",
    ),
    "Two runs at once": (
        "the second is refused, or both leave one whole output",
        "test_outputs.py::test_two_runs_of_a_stage_at_once",
        "test_files.py::test_two_runs_do_not_write_the_same_output",
        "test_files.py::test_many_writers_at_once_leave_one_whole_output",
    ),
    "A person's files, folders and links at an output": (
        "none is replaced or removed",
        "test_outputs.py::test_a_stage_keeps_what_another_put_into_its_folder",
        "test_outputs.py::test_a_stage_replaces_no_folder_by_a_file",
        "test_outputs.py::test_simulate_keeps_cell_types_that_it_did_not_make",
        "test_outputs.py::test_a_command_keeps_what_stands_at_its_output",
        "test_outputs.py::test_no_command_replaces_what_it_reads",
        "test_files.py::test_a_folder_with_what_its_writer_did_not_put_there_is_kept",
        "test_files.py::test_within_a_folder_a_name_is_not_enough",
        "test_files.py::test_the_working_directory_and_the_home_folder_are_kept",
    ),
    "Files of a download that lead elsewhere or unpack without end": (
        "refused",
        "data/sources/test_roadmap.py",
    ),
    "Inputs as people reported them, valid ones": (
        "read to the right numbers",
        "data/test_field.py::test_reads_the_right_numbers",
        "data/test_field.py::test_reads_published_tables",
    ),
    "Inputs as people reported them, others": (
        "refused by name",
        "data/test_field.py::test_refuses",
        "data/test_field.py::test_a_gene_table_that_matches_nothing_is_refused",
    ),
    "Faults planted in a dataset": (
        "found by `validate`",
        "stages/test_validate.py",
    ),
}
"""Kinds of fault: what is promised, and the tests that try it (below tests/)."""


class Outcomes:
    """Counts the outcomes of a run of pytest."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: when it was called, or where it was left out or broke before."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self.counts[report.outcome] += 1


def main() -> int:
    """Print both tables; 1 where anything fails."""
    rows = [["Kind of fault", "tried", "held", "failed", "left out", "what is promised"]]
    rows.append(["---", "---:", "---:", "---:", "---:", "---"])
    failed = 0
    for kind, (promised, *tests) in KINDS.items():
        outcomes = Outcomes()
        paths = [str(ROOT / "tests" / test) for test in tests]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            pytest.main([f"--rootdir={ROOT}", *paths], [outcomes])
        counts = outcomes.counts
        numbers = [counts.total(), counts["passed"], counts["failed"], counts["skipped"]]
        if counts["failed"] or not counts.total():
            failed += 1
            print(said.getvalue(), file=sys.stderr)
        rows.append([kind, *map(str, numbers), promised])
    print("\n".join(f"| {' | '.join(row)} |" for row in rows), end="\n\n")
    return int(fuzz() or failed > 0)


if __name__ == "__main__":
    sys.exit(main())
