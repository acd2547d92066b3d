"""``flimage-dask demo``."""

from pathlib import Path
from time import perf_counter

import click

from .failures import traceback_option, warnings_in_one_line
from .options import PATH, examples, overwrite_option


@click.command(
    short_help="Simulate a series, correct it, and draw what happened.",
    epilog=examples(
        "flimage-dask demo",
        "flimage-dask demo larger --frames 2000 --size 512",
    ),
)
@click.argument("folder", type=PATH, default="flimage_dask_demo")
@click.option("--frames", "n_frames", metavar="N", type=int, default=300, show_default=True, help="Number of frames.")
@click.option("--size", metavar="PX", type=int, default=256, show_default=True, help="Height and width of a frame.")
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Chooses other cells and noise.")
@overwrite_option
@traceback_option
def demo(folder: Path, n_frames: int, size: int, seed: int, overwrite: bool) -> None:
    """Simulate cells that bleach, correct the series, and compare with the truth.

    Writes series.h5, corrected.h5 and demo.png into FOLDER (flimage_dask_demo by default).
    """
    from ..correction.models import EXPONENTIAL
    from ..errors import FileError, OutputExistsError, ParameterError
    from ..saving import to_hdf5
    from ..series import FLSeries
    from ..simulate import Simulation
    from ..view.picture import draw_correction
    from ..view.run import RunReport, demo_text

    if n_frames < EXPONENTIAL.min_frames:
        raise ParameterError(
            f"--frames {n_frames}: a decay needs at least {EXPONENTIAL.min_frames} frames to judge it."
        )
    simulation = Simulation(n_frames=n_frames, frame_shape=(size, size), seed=seed)
    if folder.exists() and not folder.is_dir():
        raise FileError(f"'{folder}' is a file: give the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputExistsError(f"the folder '{folder}' holds files already: choose another one, or give --overwrite.")
    folder.mkdir(parents=True, exist_ok=True)
    series_file, corrected_file, picture = (folder / name for name in ("series.h5", "corrected.h5", "demo.png"))

    click.echo(f"simulating {n_frames:,} frames of {size} x {size} px")
    to_hdf5(
        simulation.lazy(),
        series_file,
        times=simulation.times,
        meta={"pixel size": 1.1e-7, "sim model": "bleaching cells", "software": "flimage_dask"},
        identifier=f"demo {seed}",
        overwrite=overwrite,
    )
    with warnings_in_one_line(), FLSeries(h5file=series_file, h5mode="r") as series:
        click.echo("correcting them\n")
        started = perf_counter()
        series.bleach_correction(corrected_file, overwrite=overwrite)
        run = RunReport.of(corrected_file, series.origin, perf_counter() - started)
        estimate = series.estimate_bleaching(progress=False)  # remembered
        with FLSeries(h5file=corrected_file, h5mode="r") as corrected:
            draw_correction(picture, series.raw_fl, corrected.fl, estimate, title="Bleaching of simulated cells")
    click.echo(demo_text(run, estimate, simulation, (series_file, corrected_file, picture)))
