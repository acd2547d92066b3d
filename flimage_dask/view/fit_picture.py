"""A picture of an estimate: the trace with its fit, the factors (or shifts), the residuals, and the numbers."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..correction.estimate import BleachingEstimate
from .fit_numbers import write_numbers
from .style import (
    DATA,
    DPI,
    FIT,
    FONT_SIZE,
    REFERENCE,
    TITLE_SIZE,
    WIDTH,
    TimeAxis,
    check_is_png,
    dot_size,
    ends_of_times,
    from_zero,
    power_of_thousand,
    save,
    scaled_counts,
    style,
)
from .text import counted

#: Reddish purple of Okabe and Ito: frames that the fit does not use, or hardly.
LEFT_OUT = "#CC79A7"
HEIGHT = 6.6
#: Margin below what has no axis, as a share of the height.
BOTTOM = 0.02

Array = NDArray[np.float64]


def draw_fit(
    estimate: BleachingEstimate, path: str | os.PathLike[str] | None = None, *, title: str | None = None
) -> Figure:
    """Draw an estimate of bleaching.

    Parameters
    ----------
    estimate
        What to draw.
    path
        A PNG file to write or replace. None writes nothing.
    title
        A heading. None leaves it out.

    Returns
    -------
    matplotlib.figure.Figure
        Apart from pyplot, so that nothing global is touched.

    Raises
    ------
    ParameterError
        (a ValueError) if `path` is no PNG.
    FileError
        (an OSError) if the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import estimate_bleaching
    >>> times = np.arange(30.0)
    >>> draw_fit(estimate_bleaching(times, 100 * np.exp(-times / 9) + 20, background=0.0))
    <Figure size 1500x990 with 4 Axes>
    """
    if path is not None:
        check_is_png(Path(path))
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2,
        2,
        left=0.085,
        right=0.985,
        bottom=0.09,
        top=0.90 if title else 0.945,
        hspace=0.36,
        wspace=0.24,
        height_ratios=(1.5, 1.0),
    )
    if title is not None:
        figure.suptitle(title, fontsize=TITLE_SIZE + 1, fontweight="bold", y=0.985)
    places = _Places(estimate)
    trace, correction = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    residuals, numbers = figure.add_subplot(grid[1, 0], sharex=trace), figure.add_subplot(grid[1, 1])
    _draw_trace(trace, estimate, places)
    draw_changes = _draw_shifts if estimate.adds_only else _draw_factors
    draw_changes(correction, estimate, places)
    _draw_residuals(residuals, estimate, places)
    _reach_down(numbers)
    write_numbers(numbers, estimate)
    if path is not None:
        save(figure, Path(path))
    return figure


class _Places:
    """Where the frames stand on the axes, in the order of time, and which of them the fit used."""

    def __init__(self, estimate: BleachingEstimate) -> None:
        self.order, self.times, self.label = TimeAxis.of(estimate)
        power = power_of_thousand([estimate.trace, estimate.decay])
        self.counts, self.counts_label = 10.0**power, scaled_counts(power)
        aside = np.zeros(len(estimate.times), np.bool_)
        aside[list(estimate.excluded + estimate.outliers)] = True
        self.aside = aside[self.order]
        self.starts = _starts_again(estimate, self.order)

    def line(self, axes: Axes, values: Array, label: str) -> None:
        """Draw a curve, broken where another trial begins."""
        axes.plot(self._broken(self.times), self._broken(values), color=FIT, linewidth=2.0, label=label)

    def dots(self, axes: Axes, values: Array, label: str) -> None:
        """Draw one dot a frame, hollow for those left out."""
        size = dot_size(len(values))
        kinds: list[tuple[NDArray[np.bool_], dict[str, Any], str]] = [
            (~self.aside, {"color": DATA, "alpha": 0.55, "markeredgewidth": 0}, label),
            (
                self.aside,
                {"color": LEFT_OUT, "markerfacecolor": "none", "markersize": size + 1.5},
                "excluded or outlier",
            ),
        ]
        for chosen, looks, name in kinds:
            if chosen.any():
                options = {"linestyle": "none", "marker": "o", "markersize": size, **looks}
                axes.plot(self.times[chosen], values[chosen], **options, label=name)

    def band(self, axes: Axes, low: Array, high: Array, label: str) -> None:
        """Fill what lies between two curves, if they are known."""
        if (high > low).any():
            times, low, high = self._broken(self.times), self._broken(low), self._broken(high)
            axes.fill_between(times, low, high, color=FIT, alpha=0.3, linewidth=0, label=label)

    def _broken(self, values: Array) -> Array:
        return np.insert(values, self.starts, np.nan)


def _starts_again(estimate: BleachingEstimate, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find the places in an order where a frame is changed by nothing again: the reference of another trial."""
    unchanged = ((estimate.factors == 1.0) & (estimate.shifts == 0.0))[order]
    return np.flatnonzero(unchanged[1:] & ~unchanged[:-1]) + 1


def _draw_trace(axes: Axes, estimate: BleachingEstimate, places: _Places) -> None:
    trace, decay, errors = (
        values[places.order] / places.counts for values in (estimate.trace, estimate.decay, estimate.decay_errors)
    )
    places.dots(axes, trace, "measured")
    places.line(axes, decay, estimate.model)
    places.band(axes, decay - errors, decay + errors, "± standard error")
    _finish(axes, "trace and fit", places, f"intensity [{places.counts_label}]")
    axes.set_ylim(*from_zero([trace, decay], 1.1))
    axes.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="best")


def _draw_shifts(axes: Axes, estimate: BleachingEstimate, places: _Places) -> None:
    places.line(axes, estimate.shifts[places.order], "added to each pixel")
    axes.axhline(0.0, color=REFERENCE, linewidth=1.0)
    _finish(axes, "shifts", places, "shift [counts]")
    axes.set_xlabel(places.label, fontsize=FONT_SIZE)
    axes.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="best")


def _draw_factors(axes: Axes, estimate: BleachingEstimate, places: _Places) -> None:
    low, high = (ends[places.order] for ends in estimate.factor_interval)
    places.line(axes, estimate.factors[places.order], "correction factor")
    places.band(axes, low, high, "68 % interval")
    axes.axhline(1.0, color=REFERENCE, linewidth=1.0)
    _finish(axes, "factors", places, "factor")
    axes.set_xlabel(places.label, fontsize=FONT_SIZE)
    if not estimate.is_corrected:
        axes.set_ylim(0.5, 1.5)
    axes.legend(fontsize=FONT_SIZE - 1, frameon=False, loc="best")


def _draw_residuals(axes: Axes, estimate: BleachingEstimate, places: _Places) -> None:
    residuals = estimate.residuals[places.order]
    furthest = _furthest(residuals, places.aside)
    power = power_of_thousand([furthest])
    residuals = residuals / 10.0**power
    axes.axhline(0.0, color=FIT, linewidth=2.0)
    places.dots(axes, residuals, "")
    _finish(axes, "residuals", places, f"trace - fit [{scaled_counts(power)}]")
    axes.set_xlabel(places.label, fontsize=FONT_SIZE)
    if furthest > 0.0:
        end = 1.15 * furthest / 10.0**power
        axes.set_ylim(-end, end)
        _mark_beyond(axes, places.times, residuals, end)


def _furthest(residuals: Array, aside: NDArray[np.bool_]) -> float:
    """Return the largest residual of the frames that the fit follows; those aside would flatten what is of interest."""
    followed = residuals[~aside & np.isfinite(residuals)]
    return float(np.abs(followed).max(initial=0.0))


def _mark_beyond(axes: Axes, times: Array, residuals: Array, end: float) -> None:
    """Point from the end of an axis to the residuals that lie beyond it, and count them."""
    n_beyond = int((np.abs(residuals) > end).sum())
    if n_beyond == 0:
        return
    for chosen, place, marker in ((residuals > end, 0.95, "^"), (residuals < -end, -0.95, "v")):
        axes.plot(times[chosen], np.full(chosen.sum(), place * end), color=LEFT_OUT, linestyle="none", marker=marker)
    text = f"{counted(n_beyond, 'frame')} beyond the axis"
    axes.set_title(text, fontsize=FONT_SIZE - 1, color=LEFT_OUT, loc="right", pad=6)


def _finish(axes: Axes, heading: str, places: _Places, label: str) -> None:
    style(axes)
    axes.set_title(heading, fontsize=TITLE_SIZE, fontweight="bold", loc="left", pad=6)
    axes.set_ylabel(label, fontsize=FONT_SIZE)
    axes.set_xlim(*ends_of_times(places.times))


def _reach_down(axes: Axes) -> None:
    """Let a panel without an axis below take that space too."""
    place = axes.get_position()
    axes.set_position((place.x0, BOTTOM, place.width, place.y1 - BOTTOM))
