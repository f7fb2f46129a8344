"""calibrate: fit the simulator to real chromatin."""

from pathlib import Path

from deepchrome.console import console
from deepchrome.data.sources.expression import FILE_NAME, read_rpkm
from deepchrome.errors import DeepChromeError
from deepchrome.files import File, refuse, replacing
from deepchrome.simulation import calibration


def run(raw: Path, output: Path, expression: Path | None = None) -> None:
    """Fit the simulator to a raw directory and write its statistics (JSON).

    raw: in the published layout, any number of cell types and genes. expression: Roadmap's RPKM
    table; by default the one in the raw directory. Raises DeepChromeError where either cannot be
    read.
    """
    table = expression or raw / FILE_NAME
    if not table.is_file():
        raise DeepChromeError(f"{table}: no such file; expected Roadmap's RPKM table")
    written = File(output, "calibrate", calibration.MARK)
    refuse(written, reads=[raw, table])
    statistics = calibration.calibrate(raw, read_rpkm(table))
    with replacing(written) as (path,):
        path.write_text(calibration.as_json(statistics), encoding="utf-8")
    console.print(f"{output}: statistics of the simulator")
