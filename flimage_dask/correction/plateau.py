"""A plateau before a decay, as saturated frames or a shutter that opens late leave it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .choice import SMOOTH, Choice, choose, exceeds_noise
from .decay import fit_scaled
from .decay_model import DecayModel
from .models import AMPLITUDE, EXPONENTIAL, NONE, OFFSET, RATE
from .scaled import ScaledTrace
from .separable import fit_nearby, scan_for_rate

Array = NDArray[np.float64]

#: Needed of a plateau with an exponential after it, against a constant or against the decay that was chosen.
#: Of 305 steady random walks of 100 frames the largest were 64 and 8; plateaus of 20 to 60 frames before a decay
#: to a half have 235 to 900 against a constant (noise of 0.2 to 3 %).
EVIDENCE_AGAINST_CONSTANT, EVIDENCE_AGAINST_DECAY = 100.0, 25.0
#: Frames of a plateau, and different times after it, at least.
FEWEST_LEVEL, FEWEST_LATER = 3, 12
#: Ends of the plateau that are tried: so many across the trace, then as many around the best of them.
ENDS = 16

NOBODY = np.empty(0, np.intp)


@dataclass(frozen=True)
class _Delayed:
    """The columns of an exponential that begins at a time."""

    start: float

    def __call__(self, tau: Array, rate: Any) -> tuple[Any, ...]:
        return np.exp(-rate * np.maximum(tau - self.start, 0.0)), 1.0


def frames_before_decay(choice: Choice) -> NDArray[np.intp]:
    """Find the frames before a trace begins to decay.

    Parameters
    ----------
    choice
        The curve that was chosen for the trace.

    Returns
    -------
    numpy.ndarray
        Their positions; none where a plateau and a decay after it are no better than the chosen curve.

    Notes
    -----
    ``amplitude exp(-rate max(t - start, 0)) + offset`` must describe the trace better than the curve does:
    ``(n_eff - 1) ln(RSS_curve / RSS) > 25``, or 100 where that is a constant, and what comes after the
    start must be bleaching by itself. Only traces whose deviations from a decay are alike from frame to
    frame are looked at.

    Examples
    --------
    >>> times = np.arange(100.0)
    >>> trace = 60 * np.exp(-0.03 * np.maximum(times - 30, 0)) + 40
    >>> int(frames_before_decay(choose(None, ScaledTrace.of(times, trace))).max())
    29
    """
    curve = choice.fit
    decay = choice.tried.get(EXPONENTIAL.name) if curve.model == NONE else curve
    if decay is None or not curve.varies or decay.neighbour_correlation < SMOOTH:
        return NOBODY
    trace = curve.trace
    coarse = trace.condensed()
    times = np.unique(coarse.tau)[FEWEST_LEVEL:-FEWEST_LATER]
    if not times.size:
        return NOBODY
    last, step = len(times) - 1, len(times) / ENDS
    scanned = {place: scan_for_rate(_delayed(times[place]), coarse) for place in _places(0, last)}
    roughly = min(scanned, key=lambda place: scanned[place][1])
    rate, _ = scanned[roughly]
    around = _places(max(roughly - step, 0), min(roughly + step, last))
    start = float(min(times[around], key=lambda time: fit_nearby(_delayed(time), coarse, rate).rss))
    evidence = EVIDENCE_AGAINST_CONSTANT if curve.model == NONE else EVIDENCE_AGAINST_DECAY
    is_better = exceeds_noise(curve, fit_scaled(_delayed(start), trace), evidence)
    return trace.order[trace.tau < start] if is_better and _decays(trace, start) else NOBODY


def _places(first: float, last: float) -> list[int]:
    """Return evenly spaced places, as many as ends of the plateau are tried."""
    places: list[int] = np.unique(np.rint(np.linspace(first, last, ENDS)).astype(np.intp)).tolist()
    return places


def _decays(trace: ScaledTrace, start: float) -> bool:
    """Tell whether the frames from a time on are bleaching by themselves."""
    later = trace.tau >= start
    tail = ScaledTrace.of(trace.tau[later], trace.intensity[later], trace.weights[later])
    return choose(EXPONENTIAL, tail).fit.model == EXPONENTIAL


def _delayed(start: float) -> DecayModel:
    formula = "amplitude exp(-rate max(t - start, 0)) + offset"
    return DecayModel("plateau", formula, _Delayed(start), (AMPLITUDE, OFFSET), (RATE,))
