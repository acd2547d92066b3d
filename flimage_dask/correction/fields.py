"""What camera and lamp add to frames and do to them: the dark field and the flat field."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError


@dataclass(frozen=True, eq=False)
class Fields:
    """A dark field and a flat field.

    Parameters
    ----------
    dark
        What the camera shows without light [counts]: a number, an image (y, x), or None for nothing.
    flat
        What it shows of an evenly bright sample, (y, x) [counts]; None for an even field.

    Attributes
    ----------
    gain
        (y, x) float64: ``flat - dark`` over its mean, so that the mean of an even sample stays as it is.

    Raises
    ------
    ParameterError
        (a ValueError) if they are no such images, not finite, of different shapes, or the flat field is
        nowhere above the dark one.

    Examples
    --------
    >>> Fields(dark=1.0, flat=np.array([[4.0, 2.0]])).corrected(np.array([[[7.0, 3.0]]]))
    array([[[4., 4.]]])
    """

    dark: ArrayLike | None = None
    flat: ArrayLike | None = None
    gain: NDArray[np.float64] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        dark = None if self.dark is None else _checked("dark", self.dark, (0, 2))
        flat = None if self.flat is None else _checked("flat", self.flat, (2,))
        object.__setattr__(self, "dark", dark)
        object.__setattr__(self, "flat", flat)
        if flat is None:
            return
        if dark is not None and dark.ndim and dark.shape != flat.shape:
            raise ParameterError(f"dark= has shape {dark.shape}, but flat= has {flat.shape}.")
        light = flat - (0.0 if dark is None else dark)
        n_dark = np.count_nonzero(light <= 0.0)
        if n_dark:
            raise ParameterError(
                f"flat= must be above the dark field everywhere; {n_dark:,} of {light.size:,} pixels are not."
            )
        object.__setattr__(self, "gain", light / light.mean())

    @classmethod
    def of(cls, dark: ArrayLike | None, flat: ArrayLike | None) -> "Fields | None":
        """Return the fields, or None without any."""
        return None if dark is None and flat is None else cls(dark, flat)

    @property
    def in_words(self) -> str:
        """The fields, for people."""
        return " and ".join(f"{name} field" for name in ("dark", "flat") if getattr(self, name) is not None)

    def check_shape(self, frame_shape: tuple[int, int]) -> None:
        """Refuse fields of another shape than that of the frames."""
        for name in ("dark", "flat"):
            shape = np.shape(getattr(self, name))
            if shape not in ((), frame_shape):
                raise ParameterError(f"{name}= has shape {shape}; the frames have {frame_shape}.")

    def corrected(self, block: NDArray[Any]) -> NDArray[Any]:
        """Correct the frames of a block.

        Parameters
        ----------
        block
            (frame, y, x), counts, of a floating type.

        Returns
        -------
        numpy.ndarray
            ``(block - dark) / gain``, computed in float64 and rounded once to the type of the block.
        """
        corrected = np.empty_like(block)
        for frame, target in zip(block, corrected, strict=True):
            light = frame.astype(np.float64)
            if self.dark is not None:
                light -= self.dark
            if self.gain is not None:
                light /= self.gain
            target[...] = light
        return corrected


def _checked(name: str, given: ArrayLike, dimensions: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        values = np.array(given, np.float64)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim not in dimensions or not np.isfinite(values).all():
        wanted = "an image (y, x)" if 0 not in dimensions else "a number or an image (y, x)"
        raise ParameterError(f"{name}= has shape {np.shape(given)}: give {wanted} of finite counts.")
    values.setflags(write=False)
    return values
