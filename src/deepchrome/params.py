"""`params.yaml` as typed objects; an unknown key or a bad value is named, with what is allowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from deepchrome.data.severities import SEVERITIES
from deepchrome.data.sources.names import CELL_NAME, MISSING, check_cell, check_distinct
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.params_errors import describe, shown
from deepchrome.yaml_files import read_yaml

Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _off(value: Any) -> Any:
    """Take what YAML 1.1 reads a bare `off` as for the word."""
    return "off" if value is False else value


def _expectation(key: str) -> str:
    """Refuse what is no expectation's key."""
    if key not in SEVERITIES:
        said = f"no such expectation{nearest(key, SEVERITIES)} (allowed: {listing(SEVERITIES, 50)})"
        raise PydanticCustomError("names", "{said}", {"said": said})
    return key


MAX_OPTION = 1_000_000
"""The largest number that an architecture's option may be."""


def _cells(cells: list[str]) -> list[str]:
    """Refuse what is no cell type's name, and one that stands there twice."""
    for cell in cells:
        check_cell(cell, "")
    check_distinct(cells, "")
    return _each_once(cells)


def _each_once(values: list[Any]) -> list[Any]:
    """Refuse a list that holds a value twice."""
    repeated = [value for value in dict.fromkeys(values) if values.count(value) > 1]
    if repeated:
        raise DeepChromeError(f"{listing(repeated)} more than once, expected each once")
    return values


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse what is no plain value."""
    for name, value in options.items():
        number = isinstance(value, int | float) and abs(value) <= MAX_OPTION
        if not (number or isinstance(value, str | None)):
            raise DeepChromeError(f"{name}: found {shown(value)}, expected a number or a word")
    return options


def _located(check: Callable[[Any], Any]) -> AfterValidator:
    """Return a check whose DeepChromeError gets the key's name in front, as pydantic's own do."""

    def run(value: Any) -> Any:
        try:
            return check(value)
        except DeepChromeError as error:
            raise PydanticCustomError("names", "{said}", {"said": str(error)}) from None

    return AfterValidator(run)


Share = Annotated[float, Field(ge=0, le=1)]
Cells = Annotated[list[str], Field(min_length=1, max_length=10_000), _located(_cells)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000), _located(_each_once)]
Name = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Of a file, a folder or an entry of `models`."""


class Section(BaseModel):
    """One section of params.yaml: no unknown keys, no silent conversions, no nan or inf."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SimulateParams(Section):
    """What `simulate` makes."""

    cells: Cells
    genes: int = Field(ge=30, le=19_795)
    seed: Seed
    cell_specificity: Share
    interaction: Share
    depth: Literal["calibrated", "equal"]


class DataParams(Section):
    """Which raw data, and what is made of them."""

    raw: Name
    labels: Literal["rpkm", "published"]
    genes: Name
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
    fragments: bool
    blacklist: str | None
    reference: str | None


class ValidateParams(Section):
    """Bounds of the expectations that have one, and severities other than the default."""

    max_count: int = Field(ge=1)
    class_balance: Annotated[tuple[Share, Share], Field(strict=False)]  # YAML knows only lists
    severity: dict[
        Annotated[str, AfterValidator(_expectation)],
        Annotated[Literal["warning", "critical", "off"], BeforeValidator(_off)],
    ] = {}


class TrainParams(Section):
    """How training runs, beside what each architecture says."""

    cells_at_once: Literal["auto"] | Annotated[int, Field(ge=1, le=10_000)]
    precision: Literal["float32", "tf32", "bfloat16"]
    checkpoint_seconds: float = Field(ge=0, le=1_000_000)
    record: Annotated[Literal["auto", "off"], BeforeValidator(_off)]


class CrossCellParams(Section):
    """When cell types count as alike."""

    equivalence_margin: float = Field(gt=0, lt=0.5)


class CompareParams(Section):
    """When models count as equivalent, and how often genes are resampled."""

    equivalence_margin: float = Field(gt=0, lt=0.5)
    resamples: int = Field(ge=100, le=1_000_000)


class TrainingSetsParams(Section):
    """Which cell types are trained on together, and by which model."""

    model: Name
    cells: Literal["all"] | Cells
    sets: Literal["correlation", "published"]
    high: float = Field(ge=-1, le=1)
    somewhat: float = Field(ge=-1, le=1)
    random: int = Field(ge=2, le=10_000)
    repeats: int = Field(ge=1, le=10_000)


class GanParams(Section):
    """The generator of signals and how it is trained."""

    cells: Literal["all"] | Cells
    steps: int = Field(ge=2, le=100_000_000)
    batch_size: int = Field(ge=8, le=1_000_000)
    learning_rate: float = Field(gt=0, le=0.1)
    guidance: float = Field(ge=0, le=1000)
    examples: int = Field(ge=40, le=1_000_000)
    seed: Seed


class InterpretParams(Section):
    """How many genes are explained, against how many, and from where maximisation starts."""

    genes: int = Field(ge=4, le=1_000_000)
    baselines: int = Field(ge=2, le=10_000, multiple_of=2)
    starts: int = Field(ge=1, le=10_000)
    seed: Seed


class ModelParams(Section):
    """One architecture variant: the network, its input and how it is trained."""

    architecture: Name
    options: Annotated[dict[str, Any], _located(_options)] = {}
    reduce: Literal["max", "sum", "mean", "median", "min"] | None = None
    input: Literal["counts", "log1p"]
    standardize: bool = False
    optimizer: Literal["sgd", "adam"]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    batch_size: int = Field(ge=1, le=1_000_000)
    epochs: int = Field(ge=1, le=1_000_000)
    patience: int = Field(ge=1, le=1_000_000)
    schedule: Literal["cosine", "constant"] = "cosine"


class Params(Section):
    """All of params.yaml."""

    model: Name
    cells: Literal["all"] | Cells
    seeds: Seeds
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
    content = read_yaml(path, "run this from the project's folder")
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        problems = describe(error, Params)
        raise DeepChromeError("\n".join(f"{path}: {problem}" for problem in problems)) from None
    for name in params.models:
        if not CELL_NAME.fullmatch(name) or name.lower() in MISSING:
            raise DeepChromeError(
                f"{path}: models: found the name {name[:120]!r}, expected letters, digits and "
                "_.+-, 100 at most, a letter or digit first, and no word for a missing value"
            )
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
    if params.reads.fragments:
        for key, off in (("count", "overlap"), ("extend", 0), ("drop_duplicates", False)):
            found = getattr(params.reads, key)
            if found != off:
                raise DeepChromeError(
                    f"{path}: reads.{key}: found {str(found).lower()}, expected {str(off).lower()} "
                    "with reads.fragments: true, which counts whole fragments"
                    + (
                        "; 'samtools markdup' flags duplicates, which are then left out"
                        if key == "drop_duplicates"
                        else ""
                    )
                )
    low, high = params.validate_.class_balance
    if low >= high:
        raise DeepChromeError(
            f"{path}: validate.class_balance: found [{low}, {high}], expected [low, high]"
        )
    return params
