"""What a fit may be told: which model, and which frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..positions import positions_of
from .models import AUTO, NONE, RATIO, ModelLike, model_named
from .named_values import NamedValues

#: How a curve corrects frames; see `FitOptions`.
FACTOR, BLEACHABLE, ADDITIVE = "factor", "bleachable", "additive"
CORRECTIONS = (FACTOR, BLEACHABLE, ADDITIVE)

#: Frames to leave out: positions, a slice, several slices, or a mask of bool.
FrameSelection: TypeAlias = int | np.integer[Any] | slice | Sequence[int | slice] | NDArray[Any]


@dataclass(frozen=True)
class FitOptions:
    """How the decay of a trace is fitted.

    Parameters
    ----------
    model
        "exponential" (flimage's), "biexponential", "linear+exponential", "stretched", "none", a function or a
        `DecayModel` of your own (`models`), "auto" for the one that describes the trace best, or "ratio" for
        no curve: each frame is made as bright as the reference.
    exclude
        Frames that take no part in the fit, such as those of a stimulus: positions, negative ones from
        the end, slices, or a mask of bool, one a frame. They are corrected too.
    robust
        Let frames far from the curve count less (Huber's weights).
    correction
        "factor": frames are multiplied; "bleachable": so is the part of them that bleaches, while the
        steady part of the curve, such as autofluorescence, stays what it is; "additive": what was
        lost is added to each pixel.
    max_factor
        Factors are held at this one, above 1.
    parameters
        Those of the model by name [counts, s], instead of a fit.

    Raises
    ------
    ParameterError
        (a ValueError) if there is no such model or correction, or the parameters are not its own.

    Examples
    --------
    >>> FitOptions(model="auto", exclude=[slice(10, 12), -1]).excluded(20)
    (10, 11, 19)
    """

    model: ModelLike = "exponential"
    exclude: FrameSelection = ()
    robust: bool = False
    correction: str = FACTOR
    max_factor: float | None = None
    parameters: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str):
            # Functions become models at once, so that equal ones are equal, and wrong ones are refused here.
            object.__setattr__(self, "model", model_named(self.model))
        elif self.model not in (AUTO, RATIO):
            model_named(self.model)
        if self.correction not in CORRECTIONS:
            names = ", ".join(repr(name) for name in CORRECTIONS)
            raise ParameterError(f"correction={self.correction!r}: give one of {names}.")
        if self.model == RATIO and self.correction == BLEACHABLE:
            raise ParameterError("model='ratio' has no steady part: give correction='factor', or a model.")
        if self.max_factor is not None and not (isinstance(self.max_factor, Real) and 1.0 < self.max_factor < np.inf):
            raise ParameterError(f"max_factor={self.max_factor!r} must be a number above 1.")
        if self.parameters is not None:
            self._check_parameters(self.parameters)
            object.__setattr__(self, "parameters", NamedValues(self.parameters))

    @property
    def needs_times(self) -> bool:
        """Whether factors depend on when frames were acquired, and not only on their order."""
        return self.model not in (RATIO, NONE.name, NONE)

    @property
    def is_given(self) -> bool:
        """Whether the curve is given by its parameters, instead of being fitted."""
        return self.parameters is not None

    def _check_parameters(self, parameters: Mapping[str, float]) -> None:
        if self.model in (AUTO, RATIO):
            raise ParameterError(f"parameters= belong to a model; give its name instead of {self.model!r}.")
        if not isinstance(parameters, Mapping):
            raise ParameterError(f"parameters= must be a dict of name and value, not {type(parameters).__name__}.")
        model = model_named(self.model)
        names = [parameter.name for parameter in model.parameters]
        if sorted(parameters) != sorted(names):
            raise ParameterError(
                f"parameters= has {', '.join(sorted(parameters)) or 'none'}; the model '{model.name}' has "
                f"{', '.join(names)}."
            )
        limits = {parameter.name: parameter.lowest for parameter in model.parameters}
        for name, value in parameters.items():
            if not isinstance(value, Real) or not limits[name] <= value < np.inf:
                raise ParameterError(f"parameters= has {name}={value!r}: expected a number from {limits[name]:g} on.")

    def excluded(self, n_frames: int) -> tuple[int, ...]:
        """Return the positions of the excluded frames of a series, in ascending order.

        Raises
        ------
        ParameterError
            (a ValueError) for a position outside the series, or something that is none.
        """
        positions = positions_of(self.exclude, n_frames, "exclude=")
        outside = [position for position in positions if not -n_frames <= position < n_frames]
        if outside:
            frames = "1 frame" if n_frames == 1 else f"{n_frames} frames"
            raise ParameterError(f"exclude= names {outside[0]}, but the series has only {frames}.")
        return tuple(sorted({position % n_frames for position in positions}))
