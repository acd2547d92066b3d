"""What pictures have in common: colours, sizes, axes, and how they are written."""

from pathlib import Path
from typing import NamedTuple, Self
from uuid import uuid4

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ..correction.estimate import BleachingEstimate
from ..errors import FileError, ParameterError
from .units import time_unit

#: Dots per inch, and inches: fills a page in print and half a screen.
DPI = 150
WIDTH = 10.0
FONT_SIZE, TITLE_SIZE = 11.0, 13.0
#: Blue, vermilion and grey of Okabe and Ito, which the colour-blind can tell apart.
DATA, FIT, REFERENCE = "#0072B2", "#D55E00", "#6E6E6E"


def style(axes: Axes) -> None:
    """Give axes the looks of all pictures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(REFERENCE)
    axes.tick_params(labelsize=FONT_SIZE - 1, color=REFERENCE)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def unit_of_times(estimate: BleachingEstimate) -> tuple[float, str]:
    """Return the unit that suits the duration of a series: its length [s], and its name."""
    return time_unit(float(np.ptp(estimate.times)))


class TimeAxis(NamedTuple):
    """Where frames stand along the time.

    Attributes
    ----------
    order
        (n,) positions of the frames in the order of time.
    places
        (n,) times since the earliest frame in this order; the positions themselves where times are unknown.
    label
        What they are, with the unit.
    """

    order: NDArray[np.intp]
    places: NDArray[np.float64]
    label: str

    @classmethod
    def of(cls, estimate: BleachingEstimate) -> Self:
        """Place the frames of an estimate."""
        order = estimate.order
        if not estimate.has_times:
            return cls(order, order.astype(np.float64), "frame")
        seconds, unit = unit_of_times(estimate)
        return cls(order, (estimate.times[order] - estimate.times.min()) / seconds, f"time [{unit}]")


def power_of_thousand(values: ArrayLike) -> int:
    """Return the power of ten, in steps of three, that makes the largest finite number short."""
    sizes = np.abs(values)
    largest = sizes[np.isfinite(sizes)].max(initial=0.0)
    return 3 * int(np.floor(np.log10(largest) / 3.0)) if largest > 0.0 else 0


def from_zero(values: ArrayLike, stretch: float) -> tuple[float, float]:
    """Return the ends of an axis that shows zero and all finite values, and is a little longer than that."""
    numbers = np.asarray(values)
    finite = numbers[np.isfinite(numbers)]
    lowest, highest = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    return (stretch * lowest, stretch * highest) if lowest < highest else (0.0, 1.0)


def ends_of_times(times: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of an axis of times (n,) from 0 on that shows all of them with a little room."""
    last = float(times[-1])
    return (-0.02 * last, 1.02 * last) if last > 0.0 else (-0.5, 0.5)


def scaled_counts(power: int) -> str:
    """Name the unit of counts that were divided by a power of ten."""
    return "counts" if power == 0 else f"$10^{{{power}}}$ counts"


def dot_size(n_frames: int) -> float:
    """Return the size of the dots of a trace: small for many frames."""
    return float(np.clip(60.0 / np.sqrt(n_frames), 1.5, 6.0))


def check_is_png(path: Path) -> None:
    """Refuse a file of another kind."""
    if path.suffix.lower() != ".png":
        raise ParameterError(f"'{path}' does not end in .png: choose a name that does.")


def save(figure: Figure, path: Path) -> None:
    """Write a picture, which appears when it is whole.

    Raises
    ------
    FileError
        (an OSError) if it cannot be written; nothing is left of it.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DPI)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FileError(f"the picture '{path}' cannot be written: {error.strerror or error}.") from error
