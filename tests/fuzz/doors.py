"""Every door of the product: a sound folder, the file of it that is damaged, and how it is read."""

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from conftest import ROOT
from deepchrome import MARKS, params
from deepchrome.data.dataset import Dataset, check_validated
from deepchrome.data.sources import archive, published
from deepchrome.data.sources.download import UNOBSERVED, Remote
from deepchrome.evaluation import predictions
from deepchrome.stages import ingest, train, validate
from deepchrome.training.store import Models
from fuzz import mutate, raw, simple

PARAMS = params.load(ROOT / "params.yaml")

Values = dict[str, Any]
"""What a reading gives, by name; equal readings have equal `digest`s."""


@dataclass(frozen=True)
class Door:
    """A kind of file and how it comes in.

    make: writes a sound folder. file: the one that is damaged. read: what the product makes of the
    folder. agrees: tells whether what it made is also what another reading of the folder gives;
    without it, damage must be refused or change nothing.
    """

    name: str
    make: Callable[[Path], object]
    file: str
    ways: list[mutate.Mutation]
    read: Callable[[Path], Values]
    agrees: Callable[[Path, Values], str] | None = None


def digest(values: Values) -> str:
    """Return a hash of what was read, without what was printed."""
    hashed = hashlib.sha256()
    for name in sorted(values.keys() - {"printed"}):
        value = values[name]
        if isinstance(value, pd.DataFrame):
            value = value.to_csv(index=False)
        elif isinstance(value, np.ndarray) and value.dtype != object:
            value = value.tobytes()
        hashed.update(f"{name}={value!r}\n".encode())
    return hashed.hexdigest()


def ingested(folder: Path) -> Values:
    """Ingest a raw folder; where it is refused, nothing may have been written."""
    out = folder.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    data = PARAMS.data.model_copy(update={"raw": str(folder)})
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            ingest.run(data, PARAMS.reads, "all", *(str(out / name) for name in ("d", "m", "p")))
    except BaseException:
        left = [path for path in out.rglob("*") if path.is_file()]
        assert not left, f"refused, yet written: {left}"
        raise
    made = Dataset(out / "d")
    values: Values = {"genes": made.genes.reset_index(), "printed": printed.getvalue()}
    for cell in made.cells:
        loaded = made.load(cell)
        values |= {f"{cell} X": loaded.X, f"{cell} y": loaded.y, f"{cell} genes": loaded.gene_id}
        values["median"] = made.info["rpkm_median"][cell]
    return values


def same_as(simply: Callable[[Path], simple.Simple], cell: str, folder: Path, found: Values) -> str:
    """Compare an ingested folder with a simple reading of it; return what differs, or ""."""
    expected = simply(folder)
    names = list(found.get(f"{cell} genes", ()))
    if len(names) < len(expected.X) and "left out" not in found["printed"]:
        return f"{len(names)} of {len(expected.X)} genes, and nothing said of the others"
    places = found["genes"].set_index("gene_id")
    for name, X, y in zip(names, found[f"{cell} X"], found[f"{cell} y"], strict=True):
        if name not in expected.X:
            return f"gene {name}, which is not there"
        if not np.allclose(X, expected.X[name], rtol=1e-5, atol=1e-6):
            return f"other values of gene {name}"
        if y != (expected.expression[name] > found["median"]):
            return f"another label of gene {name}"
        if expected.places:
            chrom, tss, strand = expected.places[name]
            row = places.loc[name]
            if (simple.bare(row["chrom"]), row["tss"], row["strand"]) != (
                simple.bare(chrom),
                tss,
                strand,
            ):
                return f"another place of gene {name}"
    kept = float(np.median([expected.expression[name] for name in names]))
    if not any(np.isclose(found["median"], one) for one in (*expected.medians, kept)):
        return f"another median, {found['median']}"
    return ""


def combined_agrees(folder: Path, found: Values) -> str:
    """Tell whether the parts that combined.json names were read, and no others."""
    named = json.loads((folder / "combined.json").read_bytes().decode("utf-8-sig"))["parts"]
    for part, cell in (("reads", raw.CELL), ("published", "E003")):
        if (f"{cell} X" in found) != (part in named):
            return f"not the parts that it names: {list(named)}"
    return ""


def read_csv(folder: Path) -> Values:
    """Read a table of counts as `predict` does."""
    table = published.read(folder / "input.csv", label="optional")
    return {"gene": list(table.gene_id), "X": np.ascontiguousarray(table.X)}


def csv_agrees(folder: Path, found: Values) -> str:
    """Compare with a simple reading of the rows."""
    bins: dict[str, dict[int, list[int]]] = {}
    for line in filter(None, (folder / "input.csv").read_bytes().decode("utf-8-sig").splitlines()):
        name, b, *counts = line.split(",")
        bins.setdefault(name, {})[int(b)] = [simple.whole(one) for one in counts[:5]]
    expected = [[bins[name][b] for b in range(1, 101)] for name in sorted(bins)]
    same = found["gene"] == [f"ENSG00000{name}" for name in sorted(bins)]
    return "" if same and np.array_equal(found["X"], expected) else "other counts"


def read_params(folder: Path) -> Values:
    """Read params.yaml."""
    return {"params": params.load(folder / "params.yaml").model_dump(by_alias=True)}


def params_agree(folder: Path, found: Values) -> str:
    """Compare each value with what YAML itself reads: nothing may be converted or lost."""
    given = yaml.safe_load((folder / "params.yaml").read_bytes())

    def differing(mine: Any, theirs: Any, path: str) -> str:
        if isinstance(theirs, dict) and isinstance(mine, dict):
            return next(
                filter(None, (differing(mine.get(k), v, f"{path}.{k}") for k, v in theirs.items())),
                "",
            )
        if path.endswith("record") and theirs is False:
            return ""  # YAML's reading of a bare off
        if isinstance(mine, tuple):
            mine = list(mine)
        whole = isinstance(theirs, int) and not isinstance(theirs, bool)
        same = mine == theirs and (
            type(mine) is type(theirs) or (whole and isinstance(mine, float))
        )
        return "" if same else f"{path[1:]}: {theirs!r} read as {mine!r}"

    return differing(found["params"], given, "")


def make_dataset(folder: Path) -> None:
    """Write a validated dataset of one cell type."""
    raw.published(folder / "raw")
    data = PARAMS.data.model_copy(update={"raw": str(folder / "raw")})
    with contextlib.redirect_stdout(io.StringIO()):
        ingest.run(data, PARAMS.reads, "all", *(str(folder / name) for name in ("d", "i", "p")))
        validate.run(PARAMS.validate_, *(str(folder / name) for name in ("d", "v.json", "vp", "w")))


def read_dataset(folder: Path) -> Values:
    """Read a dataset as stages after `validate` do."""
    data = Dataset(folder / "d")
    check_validated(data, folder / "v.json")
    values: Values = {"genes": data.genes.reset_index(), "labels": data.labels, "info": data.info}
    for cell in data.cells:
        loaded = data.load(cell)
        values |= {f"{cell} X": np.ascontiguousarray(loaded.X), f"{cell} y": loaded.y}
        values |= {f"{cell} genes": list(loaded.gene_id), f"{cell} split": list(loaded.split)}
    values |= {"training": data.training_genes, "hashes": data.training_hashes}
    return values


def make_models(folder: Path) -> None:
    """Write models of one cell type, and predictions of them."""
    make_dataset(folder)
    variant = PARAMS.models["linear"].model_copy(update={"epochs": 1})
    few = PARAMS.model_copy(
        update={"model": "linear", "models": {"linear": variant}, "device": "cpu"}
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(folder):
        train.run(few, *(str(folder / name) for name in ("d", "v.json", "m", "t.json", "tp")))
    cell = Dataset(folder / "d").load("E003")
    with predictions.Writer(folder / "predictions.parquet") as writer:
        log_odds = Models(folder / "m").log_odds(cell.X, ["E003"])
        writer.add(["E003"], [0], cell, log_odds[0])
    np.save(folder / "X.npy", cell.X)


def read_models(folder: Path) -> Values:
    """Score genes by the models."""
    models = Models(folder / "m")
    X = np.load(folder / "X.npy")
    return {"scores": models.predict(X, models.cells), "cells": models.cells}


def read_predictions(folder: Path) -> Values:
    """Read predictions as the stages after `train` do."""
    path = folder / "predictions.parquet"
    return {"rows": predictions.read(str(path), path.read_bytes())}


def make_archive(folder: Path, packed: bool) -> None:
    """Write the published archive, with one cell type."""
    raw.published(folder / "raw")
    with tarfile.open(folder / "a.tar", "w") as tar:
        tar.add(folder / "raw/E003", "data/E003")
    if packed:
        (folder / "a.tar.gz").write_bytes(gzip.compress((folder / "a.tar").read_bytes()))


def read_archive(folder: Path) -> Values:
    """Unpack the archive as `fetch` does."""
    path = folder / "a.tar.gz"
    target = folder / "unpacked"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    remote = Remote("archive", "https://example.org/a.tar.gz", "--url", None, "")
    archive.unpack(path, remote, target, UNOBSERVED)
    return {
        str(file.relative_to(target)): file.read_bytes()
        for file in sorted(target.rglob("*"))
        if file.is_file()
    }


def read_tar(folder: Path) -> Values:
    """Pack a tar and unpack it as `fetch` does."""
    (folder / "a.tar.gz").write_bytes(gzip.compress((folder / "a.tar").read_bytes()))
    return read_archive(folder)


def archive_agrees(folder: Path, found: Values) -> str:
    """Compare with what Python's tarfile finds, by the end of each member's name."""
    expected = {}
    with tarfile.open(folder / "a.tar") as tar:
        for member in tar:
            parts = member.name.split("/")
            if member.isreg() and len(parts) >= 3 and parts[-2] == "classification":
                expected["/".join(parts[-3:])] = tar.extractfile(member).read()
    return "" if expected.items() >= found.items() else "other files than tarfile finds"


def _own(
    name: str, file: str, ways: list[mutate.Mutation], compared: bool = True, **made: str
) -> Door:
    """Return a door of a folder of one's own data."""
    agrees = partial(same_as, simple.own, raw.CELL) if compared else None
    return Door(name, partial(raw.own, **made), file, ways, ingested, agrees)


_ROADMAP = partial(same_as, simple.published, "E003")
_READS = MARKS[3]

DOORS = [
    _own("samples.tsv", "samples.tsv", mutate.TEXT),
    _own("expression", "expression.tsv", mutate.TEXT),
    *(
        _own(f"genes, {end}", f"genes.{end}", mutate.TEXT, genes=end)
        for end in ("tsv", "gtf", "gff3", "bed")
    ),
    _own("chrom.sizes", "chrom.sizes", mutate.TEXT),
    _own("tagAlign", f"{_READS}.tagAlign", mutate.TEXT),
    _own("tagAlign, gzip", f"{_READS}.tagAlign.gz", mutate.BYTES, files=".tagAlign.gz"),
    _own("BED", f"{_READS}.bed", mutate.TEXT, files=".bed"),
    _own("bedGraph", f"{_READS}.bedGraph", mutate.TEXT, files=".bedGraph"),
    _own("bedGraph, gzip", f"{_READS}.bedGraph.gz", mutate.BYTES, files=".bedGraph.gz"),
    _own("BAM", f"{_READS}.bam", mutate.BYTES, files=".bam"),
    _own("bigWig", f"{_READS}.bw", mutate.BYTES, compared=False, files=".bw"),
    Door(
        "published CSV",
        raw.published,
        "E003/classification/train.csv",
        mutate.TEXT,
        ingested,
        _ROADMAP,
    ),
    Door("RPKM", raw.published, "57epigenomes.RPKM.pc.gz", mutate.BYTES, ingested, _ROADMAP),
    Door(
        "CSV to predict",
        lambda folder: _csv(folder),
        "input.csv",
        mutate.TEXT,
        read_csv,
        csv_agrees,
    ),
    Door(
        "params.yaml",
        lambda folder: _params(folder),
        "params.yaml",
        mutate.YAML,
        read_params,
        params_agree,
    ),
    Door("combined.json", raw.combined, "combined.json", mutate.JSON, ingested, combined_agrees),
    Door("dataset.json", make_dataset, "d/dataset.json", mutate.JSON, read_dataset),
    *(
        Door(f"{name}.parquet", make_dataset, f"d/{path}.parquet", mutate.BYTES, read_dataset)
        for name, path in (("genes", "genes"), ("labels", "labels"), ("signals", "signals/E003"))
    ),
    Door("model.json", make_models, "m/model.json", mutate.JSON, read_models),
    Door("weights", make_models, "m/weights.safetensors", mutate.BYTES, read_models),
    Door("predictions", make_models, "predictions.parquet", mutate.BYTES, read_predictions),
    Door("archive", partial(make_archive, packed=True), "a.tar.gz", mutate.BYTES, read_archive),
    Door(
        "tar in an archive",
        partial(make_archive, packed=False),
        "a.tar",
        mutate.BYTES,
        read_tar,
        archive_agrees,
    ),
]


def _csv(folder: Path) -> None:
    raw.published(folder / "raw")
    text = (folder / "raw/E003/classification/test.csv").read_text()
    (folder / "input.csv").write_text(
        "".join(f"{line.rsplit(',', 1)[0]}\n" for line in text.splitlines())
    )


def _params(folder: Path) -> None:
    folder.mkdir()
    text = yaml.safe_dump(yaml.safe_load((ROOT / "params.yaml").read_bytes()), sort_keys=False)
    (folder / "params.yaml").write_text(text)
