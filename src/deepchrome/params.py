"""`params.yaml` as typed objects; an unknown key or a bad value is named, with what is allowed."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from deepchrome.errors import DeepChromeError, listing, nearest

Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _off(value: Any) -> Any:
    """Take what YAML 1.1 reads a bare `off` as for the word."""
    return "off" if value is False else value


Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """One section of params.yaml: no unknown keys, no silent conversions of text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SimulateParams(Section):
    """What `simulate` makes."""

    cells: list[str] = Field(min_length=1)
    genes: int = Field(ge=30, le=19_795)
    seed: Seed
    cell_specificity: Share
    interaction: Share
    depth: Literal["calibrated", "equal"]


class DataParams(Section):
    """Which raw data, and what is made of them."""

    raw: str
    labels: Literal["rpkm", "published"]
    genes: str
    split: Literal["published", "random", "chromosome"]
    split_seed: Seed
    orient: Literal["genomic", "transcription"]
    h3k4me3_doubled: bool


class ReadsParams(Section):
    """How aligned reads become the values of bins."""

    count: Literal["overlap", "five_prime"]
    extend: int = Field(ge=0, le=10_000)
    min_mapq: int = Field(ge=0, le=255)
    drop_duplicates: bool
    depth: Literal["raw", "cpm"]
    input: Literal["subtract", "ignore"]


class ValidateParams(Section):
    """Bounds of the expectations that have one."""

    max_count: int = Field(ge=1, le=65_535)
    class_balance: tuple[Share, Share]


class TrainParams(Section):
    """How training runs, beside what each architecture says."""

    cells_at_once: Literal["auto"] | Annotated[int, Field(ge=1)]
    precision: Literal["float32", "tf32", "bfloat16"]
    checkpoint_seconds: float = Field(ge=0)
    record: Annotated[Literal["auto", "off"], BeforeValidator(_off)]


class CrossCellParams(Section):
    """When cell types count as alike."""

    equivalence_margin: float = Field(gt=0, lt=0.5)


class CompareParams(Section):
    """When models count as equivalent, and how often genes are resampled."""

    equivalence_margin: float = Field(gt=0, lt=0.5)
    resamples: int = Field(ge=100)


class TrainingSetsParams(Section):
    """Which cell types are trained on together, and by which model."""

    model: str
    cells: Literal["all"] | Annotated[list[str], Field(min_length=1)]
    sets: Literal["correlation", "published"]
    high: float = Field(ge=-1, le=1)
    somewhat: float = Field(ge=-1, le=1)
    random: int = Field(ge=2)
    repeats: int = Field(ge=1)


class GanParams(Section):
    """The generator of signals and how it is trained."""

    cells: Literal["all"] | Annotated[list[str], Field(min_length=1)]
    steps: int = Field(ge=2)
    batch_size: int = Field(ge=8)
    learning_rate: float = Field(gt=0, le=0.1)
    guidance: float = Field(ge=0)
    examples: int = Field(ge=40)
    seed: Seed


class InterpretParams(Section):
    """How many genes are explained, against how many, and from where maximisation starts."""

    genes: int = Field(ge=4)
    baselines: int = Field(ge=2, multiple_of=2)
    starts: int = Field(ge=1)
    seed: Seed


class ModelParams(Section):
    """One architecture variant: the network, its input and how it is trained."""

    architecture: str
    options: dict[str, Any] = {}
    reduce: Literal["max", "sum", "mean", "median", "min"] | None = None
    input: Literal["counts", "log1p"]
    standardize: bool = False
    optimizer: Literal["sgd", "adam"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    batch_size: int = Field(ge=1)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    schedule: Literal["cosine", "constant"] = "cosine"


class Params(Section):
    """All of params.yaml."""

    model: str
    cells: Literal["all"] | Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    protocol: Literal["tuned", "paper"]
    device: Literal["auto", "cpu", "cuda"]
    data: DataParams
    reads: ReadsParams
    simulate: SimulateParams
    # `validate` is a method of every pydantic model
    validate_: ValidateParams = Field(alias="validate")
    train: TrainParams
    cross_cell: CrossCellParams
    training_sets: TrainingSetsParams
    gan: GanParams
    interpret: InterpretParams
    compare: CompareParams
    models: dict[str, ModelParams]

    @property
    def chosen(self) -> ModelParams:
        """The chosen architecture variant, under the chosen protocol."""
        return self.variant(self.model)

    def variant(self, name: str) -> ModelParams:
        """Return an architecture variant under the chosen protocol."""
        params = self.models[name]
        return params if self.protocol == "tuned" else paper_protocol(params)


def paper_protocol(params: ModelParams) -> ModelParams:
    """Return the variant as DeepChrome 2.0 trained it (arXiv 2209.11923).

    SGD, rate 1e-3 (linear 1e-2), batches of 32, cosine annealing per step to 1e-6, at most 100
    epochs, 15 without a better validation AUROC, raw counts. Only `linear` keeps its scale, fitted
    on training genes, where theirs divides by the maximum of the batch.
    """
    return params.model_copy(
        update={
            "input": "counts",
            "standardize": params.standardize and params.architecture == "linear",
            "optimizer": "sgd",
            "learning_rate": 1e-2 if params.architecture == "linear" else 1e-3,
            "weight_decay": 0.0,
            "batch_size": 32,
            "epochs": 100,
            "patience": 15,
            "schedule": "cosine",
        }
    )


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check the whole file.

    Raises DeepChromeError that names each wrong key or value and what is allowed there.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file; run this from the project's folder") from None
    except yaml.YAMLError as error:
        raise DeepChromeError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise DeepChromeError(f"{path}: expected sections such as 'data:' and 'models:'")
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        problems = dict.fromkeys(_describe(problem) for problem in error.errors())
        raise DeepChromeError("\n".join(f"{path}: {problem}" for problem in problems)) from None
    sets = params.training_sets
    for key, name in (("model", params.model), ("training_sets.model", sets.model)):
        if name not in params.models:
            raise DeepChromeError(
                f"{path}: {key}: found {name!r}, expected one of "
                f"{listing(params.models, 20)}{nearest(name, params.models)}"
            )
    if sets.somewhat > sets.high:
        raise DeepChromeError(
            f"{path}: training_sets.somewhat: found {sets.somewhat}, expected at most "
            f"training_sets.high, {sets.high}: it is the wider band"
        )
    if params.reads.count == "five_prime" and params.reads.extend:
        raise DeepChromeError(
            f"{path}: reads.extend: found {params.reads.extend}, expected 0 with reads.count: "
            "five_prime, which counts the 5' end alone"
        )
    low, high = params.validate_.class_balance
    if low >= high:
        raise DeepChromeError(
            f"{path}: validate.class_balance: found [{low}, {high}], expected [low, high]"
        )
    return params


def _describe(problem: Any) -> str:
    """Say one of pydantic's findings in the user's terms."""
    # pydantic names the branch of a union it tried ('constrained-str', 'list[...]'): not the user's
    location = [part for part in problem["loc"] if not str(part).startswith(_BRANCHES)]
    name = ".".join(str(part) for part in location)
    if problem["type"] == "extra_forbidden":
        allowed = _keys_at(location[:-1])
        return f"{name}: unknown key{nearest(str(location[-1]), allowed)} (allowed: " + (
            f"{listing(allowed, 30)})"
        )
    if problem["type"] == "missing":
        return f"{name}: missing; it has no default"
    message = problem["msg"].removeprefix("Input should be ")
    hint = ""
    if problem["type"] == "literal_error":
        hint = nearest(str(problem["input"]), problem["ctx"]["expected"].replace("'", "").split())
    return f"{name}: found {problem['input']!r}, expected {message}{hint}"


_BRANCHES = ("constrained-", "list[", "literal[", "function-")


def _keys_at(location: list[Any]) -> list[str]:
    """Return the keys allowed in the section at `location`."""
    section: type[BaseModel] = Params
    for part in location:
        if section is Params and part == "models":
            continue
        if section is Params and location[0] == "models":
            section = ModelParams
            continue
        field = next(
            field
            for name, field in section.model_fields.items()
            if str(part) in (name, field.alias)
        )
        section = field.annotation  # type: ignore[assignment]
    return [field.alias or name for name, field in section.model_fields.items()]
