"""flimage 0.3.3, the real one."""

import importlib
import warnings
from pathlib import Path

from .arithmetic import BORDER_PX

with warnings.catch_warnings():
    # Its dependencies warn of optional parts of theirs.
    warnings.simplefilter("ignore")
    _flimage = importlib.import_module("flimage")


def correct(source: Path, output: Path) -> None:
    """Correct a series into another."""
    with _flimage.FLSeries(h5file=source, h5mode="r") as fls:
        fls.bleach_correction(h5out=output, border_px=BORDER_PX)


def estimate(source: Path) -> None:
    """Estimate background, trace and decay."""
    with _flimage.FLSeries(h5file=source, h5mode="r") as fls:
        fls.bleach_correction(h5out=None, border_px=BORDER_PX)
