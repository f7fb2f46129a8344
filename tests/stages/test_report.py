def test_experiments_without_compare_are_a_usage_error(project):
    status, printed = project("report", "linear")
    assert status == 2
    assert "--compare" in printed
