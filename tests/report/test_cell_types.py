import json
import shutil

from stand_in import HASH, Parsed, made_page, table, write


def test_results_of_other_models_are_pointed_out(run):
    path = run.path / "metrics/cross_cell.json"
    write(path, json.loads(path.read_text()) | {"within_mean": 0.85})
    assert "other models than those of the question above" in made_page(run)


def test_one_cell_type(run):
    path = run.path / "metrics/cross_cell.json"
    write(path, dict.fromkeys(json.loads(path.read_text())) | {"dataset": HASH, "within_mean": 0.9})
    shutil.rmtree(run.path / "plots/cross_cell")
    table(run.path / "plots/cross_cell/auroc.csv", train_cell=["A"], test_cell=["A"], auroc=[0.9])
    assert "there is no other to compare it with" in Parsed(made_page(run)).text["cell-types"]
