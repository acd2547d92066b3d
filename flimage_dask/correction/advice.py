"""What a user should know of an estimate, in words: its warnings."""

import numpy as np
from numpy.typing import NDArray

from .background import BackgroundValues
from .choice import Choice, exceeds_noise
from .decay_model import DecayModel
from .factors import Factors
from .models import EXPONENTIAL, NONE

Array = NDArray[np.float64]

#: Correction factors above this one are reported.
LARGE_FACTOR = 10.0
#: Intensities whose mean is this far below 0, relative to the largest, have too high a background.
DARK = 0.01
#: The median of the steps from one value of noise to the next, in standard deviations.
MEDIAN_STEP = 0.954
#: Where a curve explains this share of a trace, it is said to change rather than to vary.
FALLS = 0.5
#: Factors below 1 by more than rounding are reported.
BELOW_ONE = 1.0 - 1e-9


def of_the_choice(choice: Choice, factors: Array, *, asked_for: DecayModel | None) -> tuple[str, ...]:
    """Say what is odd about the curve that was chosen, or that there is none."""
    fit = choice.fit
    if fit.model == NONE:
        return (_no_decay(choice),) if fit.varies and asked_for != NONE else ()
    texts = of_a_large_factor(factors)
    constant = choice.tried.get(NONE.name)
    if constant is not None and asked_for == fit.model == EXPONENTIAL and not exceeds_noise(constant, fit):
        texts = ("the intensity decays, but not as an exponential: give model='auto'.", *texts)
    least = int(np.argmin(factors))
    if factors[least] < BELOW_ONE:
        texts += (
            f"the fitted decay rises: frame {least} is dimmed, by a factor of {factors[least]:.4g}. "
            "The model 'exponential' never falls below a factor of 1.",
        )
    return texts


def _no_decay(choice: Choice) -> str:
    """Tell noise and drift from an intensity that falls, but in another way than the curves."""
    nearest = max(choice.tried.values(), key=lambda tried: tried.r2)
    if nearest.r2 < FALLS:
        return (
            "the intensity varies, but does not decay beyond its noise: no bleaching is corrected, all factors are 1."
        )
    return (
        f"the intensity changes, but the nearest curve ('{nearest.model.name}', R2 {nearest.r2:.3f}) misses it by a "
        f"drift that neighbouring frames share: no bleaching is corrected, all factors are 1. Look at plot(); another "
        f"background=, exclude= or model='ratio' may help."
    )


def of_dark_frames(trace: Array, used: NDArray[np.bool_]) -> tuple[str, ...]:
    """Name the frames whose background is too high."""
    largest = float(trace[used].max())
    if largest <= 0.0:
        return ("no frame is brighter than the background: all factors are 1.",)
    dark = np.flatnonzero(used & (trace < 0.0))
    steps = np.abs(np.diff(trace[used]))
    noise = float(np.median(steps)) / MEDIAN_STEP if steps.size else 0.0
    if dark.size == 0 or -trace[dark].mean() <= max(2.0 * noise, DARK * largest):
        return ()
    return (
        f"the intensity is negative in {dark.size} of {len(trace)} frames, first in frame {dark[0]}: "
        "their background is too high.",
    )


def of_unknown_backgrounds(background: BackgroundValues) -> tuple[str, ...]:
    """Name the frames whose own background nobody knows."""
    unknown = np.flatnonzero(np.isnan(background))
    if np.ndim(background) != 1 or unknown.size == 0:
        return ()
    frames = "1 frame" if len(unknown) == 1 else f"{len(unknown)} frames"
    return (
        f"the background of {frames} is unknown, first of frame {unknown[0]}: no pixel of its region is finite, and "
        f"all pixels of a frame less it are NaN. Give another region=, or one background= for all frames.",
    )


def of_unknown_errors(model: DecayModel) -> str:
    """Say that nothing is left to judge the curve by."""
    n = model.n_parameters
    return (
        f"{n} frames determine the {n} parameters of the model '{model.name}', and none is left to judge it by: "
        "the errors of the factors are unknown."
    )


def of_frames_to_leave_out(plateau: NDArray[np.intp], times: Array) -> tuple[str, ...]:
    """Name the frames before the decay that bend the curve."""
    if not plateau.size:
        return ()
    return (f"{_plateau_in_words(plateau, times)}: leave these {len(plateau)} frames out of the fit with exclude=.",)


def of_frames_left_out(plateau: NDArray[np.intp], times: Array) -> str:
    """Say which frames before the decay were left out."""
    words = _plateau_in_words(plateau, times)
    return f"{words}: these {len(plateau)} frames are left out of the fit, their factors are 1."


def _plateau_in_words(plateau: NDArray[np.intp], times: Array) -> str:
    last = int(plateau[np.argmax(times[plateau])])
    return (
        f"the intensity is level up to frame {last} and decays afterwards, as where the first frames are saturated "
        "or a shutter opens late"
    )


def of_a_large_factor(factors: Array) -> tuple[str, ...]:
    """Say what a large factor does to the noise."""
    largest = int(np.argmax(factors))
    if factors[largest] <= LARGE_FACTOR:
        return ()
    return (
        f"the correction factor reaches {factors[largest]:.4g} (frame {largest}), and so does the gain "
        "of noise. Leave out the faintest frames, denoise first, or give max_factor=.",
    )


def of_held_factors(free: Factors, found: Factors) -> tuple[str, ...]:
    """Say how many frames stay too dark."""
    n_held = int(np.count_nonzero(found.factors < free.factors))
    if n_held == 0:
        return ()
    return (
        f"factors are held at {found.factors.max():g} in {n_held} of {len(found.factors)} frames, which leaves them "
        "too dark.",
    )
