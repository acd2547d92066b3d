"""The numbers of an estimate in a panel of a picture, whose size is given."""

import numpy as np
from matplotlib.axes import Axes

from ..correction.estimate import BleachingEstimate
from .estimate_words import (
    aicc_in_words,
    bleached_in_words,
    correction_in_words,
    interval_in_words,
    parameters_in_words,
    shifts_in_words,
)
from .style import FONT_SIZE
from .text import clean, counted
from .units import format_time

#: What can be read when the text is shrunk into half the width of a page.
MOST_LINES, LONGEST_LINE = 15, 74
LARGEST_FONT = FONT_SIZE - 1.5


def write_numbers(axes: Axes, estimate: BleachingEstimate) -> None:
    """Write the numbers of an estimate into axes that show nothing else."""
    axes.set_axis_off()
    lines = "\n".join(clean(line, LONGEST_LINE) for line in numbers_of(estimate))
    text = axes.text(0.0, 1.0, lines, va="top", fontsize=LARGEST_FONT, linespacing=1.3, transform=axes.transAxes)
    needed, room = text.get_window_extent(), axes.get_window_extent()
    text.set_fontsize(LARGEST_FONT * min(1.0, room.width / needed.width, room.height / needed.height))


def numbers_of(estimate: BleachingEstimate) -> list[str]:
    """Say in a few lines what was found; of the parameters of many trials only the first.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import estimate_bleaching
    >>> times = np.arange(30.0)
    >>> lines = numbers_of(estimate_bleaching(times, 100 * 0.5 ** (times / 9), background=0.0))
    >>> [line for line in lines if "half-life" in line]
    ['half-life 9 s, 89.3% bleached at the end']
    """
    above = [f"{estimate.status}: {estimate.model}", *_quality(estimate)]
    below = [*_what_it_does(estimate), *_criteria(estimate), *_what_needs_a_look(estimate)]
    return [*above, *_first(parameters_in_words(estimate), MOST_LINES - len(above) - len(below)), *below]


def _quality(estimate: BleachingEstimate) -> list[str]:
    if not np.isfinite(estimate.r2):
        return []
    return [f"R² {estimate.r2:.6f}, neighbouring residuals correlated by {estimate.neighbour_correlation:.2f}"]


def _what_it_does(estimate: BleachingEstimate) -> list[str]:
    if not estimate.is_corrected:
        return []
    kind = correction_in_words(estimate)
    return [
        f"half-life {format_time(estimate.half_life)}, {bleached_in_words(estimate)}",
        *([kind] if kind else []),
        *_change(estimate),
    ]


def _change(estimate: BleachingEstimate) -> list[str]:
    if estimate.adds_only:
        return [f"added to each pixel: {shifts_in_words(estimate, 4)}"]
    return [
        f"largest factor {estimate.largest_factor:.4g} ({interval_in_words(estimate, 4)})",
        f"noise gain {estimate.noise_gain:.3g} (photon noise of that frame)",
    ]


def _criteria(estimate: BleachingEstimate) -> list[str]:
    others = aicc_in_words(estimate)
    if not others:
        return []
    return ["AICc above the lowest:", *(", ".join(others[k : k + 3]) for k in range(0, len(others), 3))]


def _what_needs_a_look(estimate: BleachingEstimate) -> list[str]:
    n_aside = len(estimate.trace) - estimate.n_fitted
    n_warnings = len(estimate.warnings)
    return [
        *([f"{counted(n_aside, 'frame')} took no part in the fit"] if n_aside else []),
        *([f"{counted(n_warnings, 'warning')}: see the estimate"] if n_warnings else []),
    ]


def _first(lines: list[str], most: int) -> list[str]:
    """Leave out the last of too many parameters, and say how many."""
    if len(lines) <= most:
        return lines
    shown = lines[: most - 1]
    return [*shown, f"… and {counted(len(lines) - len(shown), 'more parameter')}"]
