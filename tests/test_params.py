"""params.yaml loads as it was meant, or is refused with the key and what to write."""

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from deepchrome import MARKS, N_BINS, models, params, yaml_files
from deepchrome.errors import DeepChromeError

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
ROUTES = [
    ("model",),
    ("cells",),
    ("seeds",),
    ("protocol",),
    *[
        (section, key)
        for section, content in yaml.safe_load(TEXT).items()
        if isinstance(content, dict) and section != "models"
        for key in content
    ],
    *[("models", "deepchrome", key) for key in yaml.safe_load(TEXT)["models"]["deepchrome"]],
]


def load(folder, content):
    path = folder / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return params.load(path)


def refused(folder, content) -> str:
    with pytest.raises(DeepChromeError) as caught:
        load(folder, content)
    said = str(caught.value).replace(str(folder) + "/", "")
    assert said.startswith("params.yaml: ")
    assert len(said) < 3000
    return said.removeprefix("params.yaml: ")


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1
    return TEXT.replace(old, new, 1)


def test_reads_what_yaml_says():
    loaded, plain = params.load(ROOT / "params.yaml"), yaml.safe_load(TEXT)
    assert loaded.model_dump(by_alias=True, exclude_unset=True) == plain | {
        "validate": plain["validate"] | {"class_balance": tuple(plain["validate"]["class_balance"])}
    }


WRONG = {
    "a number in quotes": ("genes: 3000", 'genes: "200"', "simulate.genes: found '200'"),
    "a truth for a number": ("genes: 3000", "genes: true", "simulate.genes: found True"),
    "a fraction": ("genes: 3000", "genes: 1.5", "simulate.genes: found 1.5"),
    "a whole float": ("genes: 3000", "genes: 200.0", "simulate.genes: found 200.0"),
    "octal": ("genes: 3000", "genes: 0100", "simulate.genes: found '0100'"),
    "base sixty": ("genes: 3000", "genes: 50:30", "simulate.genes: found '50:30'"),
    "hexadecimal": ("genes: 3000", "genes: 0x1F", "simulate.genes: found '0x1F'"),
    "a truth in quotes": ("_doubled: true", '_doubled: "no"', "found 'no', expected a valid bool"),
    "a number for a truth": ("_doubled: true", "_doubled: 1", "found 1, expected a valid bool"),
    "a truth for a float": (
        "specificity: 0.0",
        "specificity: true",
        "found True, expected a valid",
    ),
    "no dot": ("learning_rate: 2.0e-3", "learning_rate: 2e-3", "as text; write 2.0e-3"),
    "no sign": ("learning_rate: 2.0e-3", "learning_rate: 2.5e3", "as text; write 2.5e+3"),
    "nan": ("learning_rate: 2.0e-3", "learning_rate: .nan", "gan.learning_rate: found nan"),
    "inf": ("guidance: 0.0", "guidance: .inf", "gan.guidance: found inf"),
    "a share in quotes": ("[0.05, 0.95]", '["0.05", 0.95]', "class_balance.0: found '0.05'"),
    "three shares": ("[0.05, 0.95]", "[0.05, 0.5, 0.95]", "validate.class_balance"),
    "one word for a list": ("cells: all", "cells: E003", "cells: found 'E003', expected 'all'"),
    "cell twice": ("cells: all", "cells: [E003, E003]", "cells: E003 more than once"),
    "cells alike": ("cells: all", "cells: [liver, Liver]", "differ in upper and lower case alone"),
    "no cells": ("cells: all", "cells: []", "at least 1 item"),
    "a cell of digits": ("cells: all", "cells: [293]", "cells.0: found 293"),
    "a cell called no": ("cells: all", "cells: [no]", "it as no text; put it in quotes"),
    "a cell called all": ("cells: all", "cells: [all]", "which means several cell types"),
    "a cell called NA": ("cells: all", "cells: [NA]", "which means a missing value"),
    "a path for a cell": ("cells: all", "cells: [../../x]", "found '../../x', expected a name"),
    "markup for a cell": ("cells: all", "cells: ['[bold]']", "found '[bold]', expected a name"),
    "simulated twice": ("[E003, E016,", "[E003, E003,", "simulate.cells: E003 more than once"),
    "seed twice": ("seeds: [0]", "seeds: [1, 1]", "seeds: 1 more than once"),
    "seed of a truth": ("seeds: [0]", "seeds: [true]", "seeds.0: found True"),
    "no seed": ("seeds: [0]", "seeds: []", "seeds: found [], expected at least 1 item"),
    "a long number": ("  seed: 0", "  seed: " + "9" * 5000, "value has 5000 digits"),
    "a network of words": ("{pooling: max}", "{pooling: .nan}", "options: pooling: found nan"),
    "a path for a model": ("  linear_sum:", "  ../../x:", "models: found the name '../../x'"),
    "a number for a model": ("  linear_sum:", "  5:", "models.5: found 5"),
    "a line for a name": ("raw: data/raw/demo", 'raw: "a\\nb"', "data.raw: found 'a\\nb'"),
    "no name": ("raw: data/raw/demo", "raw: ''", "data.raw: found ''"),
    "nothing": ("raw: data/raw/demo", "raw:", "data.raw: found None"),
    "a date": ("raw: data/raw/demo", "raw: 2001-01-01", "it as no text; put it in quotes"),
    "no such date": ("raw: data/raw/demo", "raw: 2001-02-30", "not valid YAML"),
    "key twice": ("  steps: 2000", "  steps: 2000\n  steps: 20", "key 'steps' is there already"),
    "fragments without duplicates": (
        "  drop_duplicates: false      # of reads with the same 5' end and strand keep one\n"
        "  fragments: false",
        "  drop_duplicates: true\n  fragments: true",
        "reads.drop_duplicates: found true, expected false with reads.fragments: true",
    ),
    "section twice": ("\nreads:", "\ndata: {}\nreads:", "key 'data' is there already"),
    "a misspelt section": ("validate:", "validat:", "did you mean 'validate'?"),
    "a misspelt key": ("  orient:", "  orientt:", "data.orientt: unknown key; did you mean"),
    "an unknown key of a model": ("options: {}", "option: {}", "did you mean 'options'?"),
    "a tag": ("  seed: 0", "  seed: !!python/object/apply:os.system [ls]", "found the tag"),
    "a harmless tag": ("  seed: 0", "  seed: !!int 0", "found the tag"),
    "deep": ("  seed: 0", "  seed: " + "[" * 5000 + "]" * 5000, "nested too deep"),
    "deep sections": ("  seed: 0", "  seed: " + "{a: " * 5000 + "}" * 5000, "nested too deep"),
    "two documents": ("\ndata:", "\n---\ndata:", "line 10: not valid YAML"),
    "tabs": ("  seed: 0", "\tseed: 0", "not valid YAML"),
    "null byte": ("  seed: 0", "  seed: \0", "not valid YAML"),
    "control character": ("  seed: 0", "  seed: \x1b[2J", "not valid YAML"),
}


@pytest.mark.parametrize(("old", "new", "expected"), WRONG.values(), ids=WRONG)
def test_refuses_by_key(tmp_path, old, new, expected):
    assert expected in refused(tmp_path, changed(old, new))


BYTES = {
    "empty": (b"", "found nothing, expected sections"),
    "comments alone": (b"# nothing\n", "found nothing, expected sections"),
    "a list": (b"- a\n", "found a list, expected sections"),
    "latin-1": (TEXT.encode() + b"# caf\xe9\n", "not text in UTF-8; save the file as UTF-8"),
    "utf-16": (TEXT.encode("utf-16"), "line 1: not text in UTF-8"),
    "gzip": (b"\x1f\x8b\x08\0", "line 1: not text in UTF-8"),
    "large": (b"#" * (yaml_files.MAX_BYTES + 1), "more than 1,048,576 bytes"),
    "an anchor that holds itself": (b"a: &a [*a]\n", "line 1: an anchor that holds its own alias"),
    "a list for a key": (b"? [a]\n: b\n", "line 1: not valid YAML: found unhashable key"),
}


@pytest.mark.parametrize(("content", "expected"), BYTES.values(), ids=BYTES)
def test_refuses_what_is_no_settings(tmp_path, content, expected):
    assert expected in refused(tmp_path, content)


def test_both_lines_of_a_repeated_key(tmp_path):
    text = changed("  steps: 2000", "  steps: 2000\n  steps: 20")
    second = 1 + next(
        i for i, line in enumerate(text.splitlines()) if line.startswith("  steps: 20 ")
    )
    expected = f"line {second}: key 'steps' is there already, in line {second - 1}"
    assert expected in refused(tmp_path, text)


@pytest.mark.parametrize("merge", [False, True])
def test_aliases_that_stand_for_billions(tmp_path, merge):
    lines = ["x0: &x0 {a: 1}" if merge else "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for i in range(1, 25):
        ten = ", ".join([f"*x{i - 1}"] * 10)
        lines.append(f"x{i}: &x{i} " + (f"{{<<: [{ten}]}}" if merge else f"[{ten}]"))
    assert "its aliases stand for more than 10^15 values" in refused(tmp_path, "\n".join(lines))


def test_missing_or_a_folder(tmp_path):
    for name, expected in (("none.yaml", "no such file"), (".", "a folder")):
        with pytest.raises(DeepChromeError, match=expected):
            params.load(tmp_path / name)


RIGHT = {
    "a whole number for a float": ("specificity: 0.0", "specificity: 1", "simulate", 1),
    "off": ("record: auto", "record: off", "train", "off"),
    "off in quotes": ("record: auto", 'record: "off"', "train", "off"),
    "digits in quotes": ("cells: all", 'cells: ["293"]', None, ["293"]),
    "small": ("learning_rate: 2.0e-3", "learning_rate: 1.0e-05", "gan", 1e-5),
    "with a sign": ("learning_rate: 2.0e-3", "learning_rate: +.002", "gan", 0.002),
    "yes": ("_doubled: true", "_doubled: yes", "data", True),
}


@pytest.mark.parametrize(("old", "new", "section", "value"), RIGHT.values(), ids=RIGHT)
def test_takes(tmp_path, old, new, section, value):
    loaded = load(tmp_path, changed(old, new))
    found = getattr(loaded, section) if section else loaded
    key = new.partition(":")[0].strip()
    names = [name for name in type(found).model_fields if name.endswith(key)]
    assert getattr(found, names[0]) == value


def test_byte_order_mark_and_crlf(tmp_path):
    plain = params.load(ROOT / "params.yaml")
    assert load(tmp_path, b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()) == plain


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1e-3", "200", "off", "all", "../..", "[bold]", "0100", "1:30", ".nan"]),
)


def _is_key(value: object) -> bool:
    return not (isinstance(value, float) and math.isnan(value))


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(SCALARS.filter(_is_key), inner, max_size=3)
    ),
    max_leaves=8,
)


def loads_or_refuses(folder, content: bytes) -> None:
    try:
        loaded = load(folder, content)
        models.check({"deepchrome": next(iter(loaded.models.values()))}, N_BINS, len(MARKS))
    except DeepChromeError:
        return
    assert all(0 <= seed < 2**31 for seed in loaded.seeds)
    assert math.isfinite(loaded.gan.learning_rate)


@settings(max_examples=60)
@given(route=st.sampled_from(ROUTES), value=VALUES)
def test_any_value_loads_or_is_refused(tmp_path_factory, route, value):
    content = yaml.safe_load(TEXT)
    section = content
    for key in route[:-1]:
        section = section[key]
    section[route[-1]] = value
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    loads_or_refuses(tmp_path_factory.mktemp("params"), text.encode("utf-8", "surrogatepass"))


@settings(max_examples=60)
@given(
    start=st.integers(0, len(TEXT.encode())),
    length=st.integers(0, 60),
    new=st.binary(max_size=12) | st.sampled_from([b"*cnn", b"&a", b"<<: ", b"\n", b"!!", b"- "]),
)
def test_any_bytes_load_or_are_refused(tmp_path_factory, start, length, new):
    content = TEXT.encode()
    changed = content[:start] + new + content[start + length :]
    loads_or_refuses(tmp_path_factory.mktemp("params"), changed)


OPTIONS = {
    "no filter": ("deepchrome", {"filters": -1}, "models.deepchrome.options"),
    "no step": ("deepchrome", {"stride": 0}, "makes no network for 100 bins"),
    "a step beyond the end": ("deepchrome", {"stride": 200}, "makes no network"),
    "a truth for a width": ("deepchrome", {"width": True}, "models.deepchrome.options"),
    "nothing pooled": ("deepchrome", {"pool": 0}, "models.deepchrome.options"),
    "more than fits": ("transformer", {"width": 100_000}, "expected 100,000,000 at most"),
    "heads that do not fit": ("transformer", {"heads": 7}, "models.transformer.options"),
    "not an option": ("attentive", {"filter": 3}, "unknown option of architecture attentive"),
}


@pytest.mark.parametrize(("name", "options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_options_are_tried_before_any_work(name, options, expected):
    variant = params.load(ROOT / "params.yaml").models[name]
    variants = {name: variant.model_copy(update={"options": options})}
    with pytest.raises(DeepChromeError) as caught:
        models.check(variants, N_BINS, len(MARKS))
    assert expected in str(caught.value)


def test_options_are_tried_by_every_command_that_trains(small):
    small.set("models.attentive.options", {"hidden": "many"})
    for command in ("ingest", "train", "training_sets"):
        assert "models.attentive.options" in small.refused(command)
