"""Whether there is bleaching at all, and which curve it follows."""

from dataclasses import dataclass

import numpy as np

from .decay import MIN_EFFECTIVE, DecayFit, fit_scaled
from .decay_model import DecayModel
from .models import BIEXPONENTIAL, EXPONENTIAL, LINEAR_EXPONENTIAL, NONE, STRETCHED
from .scaled import ScaledTrace

#: Needed for "bleaching": (n_eff - 1) ln(RSS_constant / RSS_exponential). Steady series of white noise
#: exceed it in less than 1 % of simulations (tests/benchmarks/methods.py).
EVIDENCE = 9.0
#: Needed of two exponentials, where the residuals of one are correlated by more than `SMOOTH`. Of 6,400
#: steady series, white to random walks, the largest was 10.6; two clear rates of 100 frames with a
#: noise of 0.1 % give 1,000, and one exponential only 7.
EVIDENCE_OF_TWO, SMOOTH = 12.0, 0.3
#: By how much a curve with more parameters must lower the AICc.
MARGIN = 5.0
#: The curves that "auto" compares.
CANDIDATES = (EXPONENTIAL, LINEAR_EXPONENTIAL, STRETCHED, BIEXPONENTIAL)


@dataclass(frozen=True, eq=False)
class Choice:
    """A curve, and what it was chosen from.

    Parameters
    ----------
    fit
        The curve that describes the trace.
    tried
        All fits that were made, by the name of the model.
    """

    fit: DecayFit
    tried: dict[str, DecayFit]


def exceeds_noise(constant: DecayFit, curve: DecayFit, evidence: float = EVIDENCE) -> bool:
    """Tell whether a curve describes a trace better than a constant, by more than noise would.

    Notes
    -----
    ``(n_eff - 1) ln(RSS_constant / RSS_curve) > evidence``, with n_eff the independent frames that the
    curve's residuals are worth. One of them determines the constant; without it, a steady series whose
    neighbours are correlated, and which is worth few frames, would too often be called bleaching.
    """
    if not constant.varies:
        return False
    # What is left of a perfect fit is rounding, whose correlation of neighbours means nothing.
    if curve.is_exact:
        return True
    n_free = max(curve.n_effective - 1.0, MIN_EFFECTIVE)
    return bool(n_free * np.log(constant.rss / curve.rss) > evidence)


def _may_be_the_wrong_curve(exponential: DecayFit) -> bool:
    """Tell whether residuals are alike from frame to frame, with enough frames for two exponentials."""
    enough_frames = len(exponential.trace.tau) >= BIEXPONENTIAL.min_frames
    return enough_frames and exponential.neighbour_correlation > SMOOTH


def choose(model: DecayModel | None, trace: ScaledTrace) -> Choice:
    """Fit a model, or the one that describes a trace best, if there is bleaching at all.

    Parameters
    ----------
    model
        The curve to fit. None compares the `CANDIDATES`.
    trace
        With enough frames for `model`.

    Returns
    -------
    Choice
        Of a constant where the trace does not decay beyond its noise.

    Notes
    -----
    There is bleaching if an exponential exceeds the noise; or if its residuals are alike from frame to frame, so
    that they may be a wrong curve rather than noise, and two exponentials do.

    Examples
    --------
    >>> times = np.arange(100.0)
    >>> trace = 60 * np.exp(-0.2 * times) + 30 * np.exp(-0.02 * times) + 10
    >>> choose(None, ScaledTrace.of(times, trace)).fit.model.name
    'biexponential'
    """
    constant = fit_scaled(NONE, trace)
    if model == NONE:
        return Choice(constant, {NONE.name: constant})
    exponential = fit_scaled(EXPONENTIAL, trace)
    tried = {NONE.name: constant, EXPONENTIAL.name: exponential}
    found = exceeds_noise(constant, exponential)
    if not found and constant.varies and _may_be_the_wrong_curve(exponential):
        two = tried[BIEXPONENTIAL.name] = fit_scaled(BIEXPONENTIAL, trace)
        found = exceeds_noise(constant, two, EVIDENCE_OF_TWO)
    if not found:
        return Choice(constant, tried)
    for candidate in CANDIDATES if model is None else (model,):
        if candidate.name not in tried and len(trace.tau) >= candidate.min_frames:
            tried[candidate.name] = fit_scaled(candidate, trace)
    return Choice(_simplest_of_the_best(tried) if model is None else tried[model.name], tried)


def _simplest_of_the_best(tried: dict[str, DecayFit]) -> DecayFit:
    """Return the fit with the lowest AICc; one with more parameters must win by a margin."""
    chosen = tried[EXPONENTIAL.name]
    richer = [fit for fit in tried.values() if fit.model.n_parameters > chosen.model.n_parameters]
    for n_parameters in sorted({fit.model.n_parameters for fit in richer}):
        best = min((fit for fit in richer if fit.model.n_parameters == n_parameters), key=lambda fit: fit.aicc)
        if best.aicc < chosen.aicc - MARGIN:
            chosen = best
    return chosen
