"""The commands of README.md and docs/studies.md, as typed, in a clone of the project."""

import os
import re
import shlex
import sys

from conftest import ROOT


def test_the_readmes_commands(restored):
    """From 'Experiments' to 'Your own data', as typed, in one shell."""
    readme = (ROOT / "README.md").read_text()
    section = readme.split("\n## Experiments\n")[1].split("\n## Your own data\n")[0]
    commands = re.findall(r"^\$ (.*)$", section, flags=re.MULTILINE)
    assert len(commands) >= 18
    restored("git reset -q --soft HEAD~1")  # as after 'make run'
    (restored.path / ".venv").symlink_to(sys.prefix)
    (restored.path / ".git/info").mkdir(exist_ok=True)
    (restored.path / ".git/info/exclude").write_text(".venv\n")
    for name in ("pyproject.toml", "requirements.lock"):
        # or make would install the clone into the environment that runs the tests
        os.utime(restored.path / name, (0, 0))
    script = "set -eo pipefail\n" + "\n".join(
        # '\n$ command' above its output, so that a failure shows where it was
        f"echo {shlex.quote(f'$ {command}')}\n{command}"
        for command in commands
    )
    printed = restored(script)
    table = printed.split("$ make experiments")[1].split("$ dvc plots diff")[0]
    for name in ("linear", "two-cells", "mean", "sum"):
        assert f"[{name}]" in table
    assert max(len(line) for line in table.splitlines()) <= 120
    assert "…" not in table
    colleague = restored.path.parent / "colleague"
    assert (colleague / "models/train/weights.safetensors").is_file()


def test_an_architecture_added_as_the_docs_say(restored):
    """The worked example of docs/studies.md: its file, its line and its commands."""
    page = (ROOT / "docs/studies.md").read_text().split("\n## Adding an architecture\n")[1]
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (line,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    commands = re.findall(r"^\$ (.*)$", page, flags=re.MULTILINE)
    (path,) = re.findall(r"`(src/deepchrome/models/\w+\.py)`", page)
    assert not (restored.path / path).exists()
    (restored.path / path).write_text(code)
    with (restored.path / "params.yaml").open("a") as file:
        file.write(line)
    before = (restored.path / "models/train/model.json").read_text()
    printed = restored("set -e\n" + "\n".join(commands))
    assert "windows: 3,298 parameters, 2 models (2 cell types x 1 seeds)" in printed
    assert restored.ran(printed) == ["train", "evaluate", "cross_cell"]
    assert (restored.path / "models/train/model.json").read_text() != before
    row = r"^ windows +windows +3,298 +[\d.]+ (s|min) +0\.\d{3}"  # model, experiment, ...
    assert re.search(row, printed, flags=re.MULTILINE)
    verdict = r"^((linear and windows|windows and linear)\b|(windows|linear) is )"
    assert re.search(verdict, printed, flags=re.MULTILINE)
    assert (restored.path / "reports/compare/pairs.csv").is_file()
    files = restored("git show --stat $(git for-each-ref --format='%(objectname)' 'refs/exps/**')")
    assert path in files
