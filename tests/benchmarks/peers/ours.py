"""This package, as its users call it."""

from pathlib import Path

from flimage_dask import FLSeries

from .arithmetic import BORDER_PX


def correct(source: Path, output: Path) -> None:
    """Correct a series into another."""
    with FLSeries(h5file=source, h5mode="r") as fls:
        fls.bleach_correction(output, border_px=BORDER_PX, progress=False)


def estimate(source: Path) -> None:
    """Estimate background, trace and decay."""
    with FLSeries(h5file=source, h5mode="r") as fls:
        fls.bleach_correction(None, border_px=BORDER_PX, progress=False)


def read(source: Path) -> float:
    """Add up the pixels of all frames."""
    with FLSeries(h5file=source, h5mode="r") as fls:
        return float(fls.raw_fl.sum().compute())
