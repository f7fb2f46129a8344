"""The gan stage: what it writes, when it trains or only draws anew, and how failures are told."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import deepchrome
from deepchrome.interpretation import generator_quality
from deepchrome.interpretation.adversarial import DivergedError, Step, Trainer, mean_step
from deepchrome.interpretation.generator import Generator
from deepchrome.stages import gan as stage


@pytest.fixture
def fast(small, kept):
    small.set("gan.steps", 40)
    small.set("gan.batch_size", 16)
    small.set("gan.examples", 40)
    small.once(kept, "ingest", "validate")
    return small


@pytest.fixture
def unmeasured(monkeypatch):
    """Whatever is trained counts as collapsed: nothing is measured, which takes longest."""
    monkeypatch.setattr(generator_quality, "state", lambda *_: "collapsed")


FIGURES = ["cells", "correlation", "genes", "means", "profiles", "quality", "training", "walk"]


def test_the_stage(fast, monkeypatch):
    printed = fast.ok("gan")
    metrics = json.loads((fast.path / "metrics/gan.json").read_text())
    assert metrics["state"] == "trained"
    assert 0.4 < metrics["separability"] <= 1
    folder = fast.path / "plots/gan"
    assert sorted(path.stem for path in folder.glob("*.png")) == FIGURES
    assert (folder / "walk.gif").read_bytes()[:4] == b"GIF8"
    verdict = (folder / "verdict.txt").read_text()
    assert f"{metrics['separability']:.3f}" in verdict
    assert verdict.split()[0] in printed
    table = pd.read_csv(folder / "quality.csv").set_index("measure")
    assert table.loc["separability", "value"] == pytest.approx(metrics["separability"], abs=1e-6)
    assert table["what"].notna().all()
    assert table.loc["separability", "real"] == pytest.approx(0.5, abs=0.2)
    generator = Generator(fast.path / "models/gan")
    assert generator.cells == ["E003", "E123"]
    labels = np.array([0, 1, 1])
    made = generator.sample("E123", labels, seed=1)
    assert made.shape == (3, 100, 5)
    assert made.dtype == np.uint16
    assert np.array_equal(made, generator.sample("E123", labels, seed=1))
    assert not np.array_equal(made, generator.sample("E003", labels, seed=1))
    z = torch.zeros(2, generator.latent, requires_grad=True)
    expected = generator.log_counts(z, torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert expected.shape == (2, 100, 5)
    expected.sum().backward()
    assert z.grad.abs().sum() > 0
    with torch.no_grad():
        for share, label in ((0.0, 0), (1.0, 1)):
            ends = generator.log_counts(z[:1], torch.tensor([label]), torch.tensor([1]))
            assert torch.allclose(generator.between(z[:1], 1, share), ends, atol=1e-5)

    before, trained = fast.snapshot(), weights(fast)
    assert "kept" in fast.ok("gan")
    assert fast.snapshot() == before

    # other code of figures draws anew and does not train
    monkeypatch.setattr(Trainer, "train", lambda self: pytest.fail("trained again"))
    monkeypatch.setattr(stage, "DRAWING_CODE", stage.DRAWING_CODE[:-1])
    (fast.path / "plots/gan/means.png").write_bytes(b"of other code")
    printed = fast.ok("gan")
    assert DRAWN in printed
    assert "kept" not in printed
    assert weights(fast) == trained
    after = fast.snapshot()
    described = "models/gan/model.json"
    of_drawing = {"drawing_key": "", "checksum": ""}
    assert (
        json.loads(after.pop(described)) | of_drawing
        == json.loads(before.pop(described)) | of_drawing
    )
    assert after == before
    assert "kept" in fast.ok("gan")


def weights(project) -> bytes:
    return (project.path / "models/gan/weights.safetensors").read_bytes()


DRAWN = "measured and drawn again"


def test_metrics_of_another_generator_are_made_anew(fast, unmeasured):
    """As Git may bring them."""
    fast.ok("gan")
    before = fast.snapshot()
    metrics = fast.path / "metrics/gan.json"
    metrics.write_text(metrics.read_text().replace('"collapsed"', '"trained"'))
    assert "kept" not in fast.ok("gan")
    assert fast.snapshot() == before


def test_more_examples_are_measured_and_not_trained(fast, monkeypatch, unmeasured):
    fast.ok("gan")
    generator = weights(fast)
    monkeypatch.setattr(Trainer, "train", lambda self: pytest.fail("trained again"))
    fast.set("gan.examples", 45)
    assert DRAWN in fast.ok("gan")
    assert weights(fast) == generator
    (fast.path / "plots/gan/training.csv").unlink()
    with pytest.raises(BaseException, match="trained again"):
        fast.ok("gan")


def test_other_data_or_settings_or_code_of_training_train_anew(fast, monkeypatch, unmeasured):
    fast.ok("gan")
    found = [weights(fast)]

    def trained() -> None:
        printed = fast.ok("gan")
        assert "kept" not in printed
        assert DRAWN not in printed
        found.append(weights(fast))
        assert "kept" in fast.ok("gan")

    fast.set("gan.steps", 41)
    trained()
    fast.set("cells", ["E003"])
    fast.ok("ingest")
    fast.ok("validate")
    trained()
    assert len(set(found)) == 3
    monkeypatch.setattr(stage, "TRAINING_CODE", stage.TRAINING_CODE[:-1])
    trained()
    assert found[-1] == found[-2]


def test_another_guide_trains_anew(fast, unmeasured):
    fast.set("model", "linear")
    fast.set("models.linear.epochs", 1)
    fast.set("gan.guidance", 1.0)
    fast.ok("train")
    fast.ok("gan")
    before = weights(fast)
    assert "kept" in fast.ok("gan")
    fast.set("models.linear.epochs", 2)
    fast.ok("train")
    assert DRAWN not in fast.ok("gan")
    assert weights(fast) != before


def test_a_generator_that_diverged_has_when_drawn_anew(fast, monkeypatch):
    """A loss that was no number leaves weights that look well; it is not forgotten."""

    def fail(self):
        yield Step(1, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)
        raise DivergedError

    monkeypatch.setattr(Trainer, "train", fail)
    fast.ok("gan")
    metrics = (fast.path / "metrics/gan.json").read_text()
    assert json.loads(metrics)["state"] == "diverged"
    monkeypatch.setattr(stage, "DRAWING_CODE", ())
    assert DRAWN in fast.ok("gan")
    assert (fast.path / "metrics/gan.json").read_text() == metrics


def test_training_takes_one_thread_and_gives_the_others_back(fast, monkeypatch, unmeasured):
    seen = []
    monkeypatch.setattr(
        stage, "mean_step", lambda steps: seen.append(torch.get_num_threads()) or mean_step(steps)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fast.ok("gan")
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


PACKAGE = Path(deepchrome.__file__).parent


def imports(path: Path) -> Iterator[Path]:
    """Yield the files of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepchrome"):
            base = PACKAGE.joinpath(*node.module.split(".")[1:])
            for name in (*(base / alias.name for alias in node.names), base):
                for file in (name.with_suffix(".py"), name / "__init__.py"):
                    if file.is_file():
                        yield file


def reached(start: str, beyond: tuple[str, ...]) -> set[str]:
    """Return all that a file imports, and what that imports; not what lies in `beyond`."""
    found: set[str] = set()
    waiting = [PACKAGE / start]
    while waiting:
        path = waiting.pop()
        name = str(path.relative_to(PACKAGE))
        if name not in found and not name.startswith(beyond):
            found.add(name)
            waiting += imports(path)
    return found


def uncovered(names: set[str], code: tuple[str, ...]) -> list[str]:
    return sorted(
        name for name in names if not any(name == one or name.startswith(f"{one}/") for one in code)
    )


GROUND = ("errors.py", "files.py", "params.py", "seals.py", "data/severities.py", "data/reference")


def test_the_training_key_knows_all_code_of_training():
    names = reached("interpretation/adversarial.py", GROUND)
    assert names == set(stage.TRAINING_CODE)
    assert all((PACKAGE / name).exists() for name in (*stage.GUIDE_CODE, *stage.DRAWING_CODE))


def test_the_drawing_key_knows_all_code_of_measures_and_figures():
    beyond = (*GROUND, "console.py", "training/", "models/")
    names = reached("stages/gan.py", beyond)
    assert {"figures/style.py", "figures/generated.py", "evaluation/metrics.py"} <= names
    known = stage.TRAINING_CODE + stage.GUIDE_CODE + stage.DRAWING_CODE
    inits = {name for name in names if name.endswith("/__init__.py")}
    assert uncovered(names - inits, known) == []


def test_the_stage_guided_by_the_trained_classifier(fast):
    fast.set("models.deepchrome.epochs", 1)
    fast.set("gan.guidance", 1.0)
    assert "models/train" in fast.refused("gan")  # not trained yet
    fast.ok("train")
    fast.set("gan.cells", ["E123"])
    fast.ok("gan")
    assert Generator(fast.path / "models/gan").cells == ["E123"]
    curve = pd.read_csv(fast.path / "plots/gan/training.csv")
    assert (curve["guidance"] > 0).all()


@pytest.mark.parametrize("state", ["collapsed", "diverged"])
def test_a_failed_generator_is_reported_and_not_drawn(fast, monkeypatch, state):
    def spoil(self):
        with torch.no_grad():
            if state == "collapsed":
                for part in (self.network.layers[0], self.network.noise):
                    part.weight.zero_()
                self.network.profile[:] = torch.expm1(self.examples.x.mean(0)).log()
                self.network.layers[-1].weight.zero_()
                self.network.layers[-1].bias.zero_()
                self.values = "signal"  # no reads are drawn: every gene alike
                self.network.profile[:] = self.examples.x.mean(0)
            else:
                self.network.profile += 5
        yield Step(1, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)

    monkeypatch.setattr(Trainer, "train", spoil)
    if state == "collapsed":
        real = generator_quality.generate
        monkeypatch.setattr(
            generator_quality, "generate", lambda n, c, values: real(n, c, "signal")
        )
    printed = fast.ok("gan")
    assert f"The generator has {state}" in printed
    assert json.loads((fast.path / "metrics/gan.json").read_text())["state"] == state
    drawn = sorted(path.stem for path in (fast.path / "plots/gan").glob("*.png"))
    assert drawn == ["training"]
    assert Generator(fast.path / "models/gan").state == state


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("gan.cells", ["E003", "E124"], "'E124' is not in data/dataset"),
        ("gan.steps", 1, "gan.steps: found 1"),
        ("gan.guidance", -1, "gan.guidance: found -1"),
        ("gan.step", 10, "gan.step: unknown key; did you mean 'steps'?"),
    ],
)
def test_bad_params(fast, key, value, expected):
    fast.set(key, value)
    assert expected in fast.refused("gan")
