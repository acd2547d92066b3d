"""What is done to frames before their intensity is found: which background they have, and what is subtracted when.

Fields and background images of single frames depend on a frame alone. They are applied to each block as it is read,
so that every trace, estimate and correction sees prepared frames. Other backgrounds are levels: a number for each
frame or for all, or an image of all, which are found with the trace.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from .background import border_mask
from .fields import Fields
from .levels import FrameBackground, FrameLevels
from .over_time import TimePercentile
from .profiles import Profile
from .rolling_ball import RollingBall

#: How the background of a series is found: "constant", the mean of all borders; "per-frame", the mean of each
#: border; another number, or an image, for each frame; one image from all of them; or a number or an image (y, x).
Background: TypeAlias = (
    Literal["constant", "per-frame"] | float | NDArray[Any] | FrameBackground | Profile | RollingBall | TimePercentile
)

#: A background that is subtracted together with the correction of bleaching.
KnownLevel: TypeAlias = Literal["constant"] | float | NDArray[Any] | FrameLevels
Level: TypeAlias = KnownLevel | TimePercentile

CONSTANT, PER_FRAME = "constant", "per-frame"


class FrameImages(Protocol):
    """A background that has an image of its own for each frame."""

    @property
    def in_words(self) -> str:
        """The background, for people."""
        ...

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What is stored with an image."""
        ...

    def images(self, block: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
        """Give the image (y, x) of each frame of a block, which the next one may overwrite [counts]."""
        ...


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to frames as they are read.

    Parameters
    ----------
    fields
        Applied first.
    background
        Found in what the fields leave, and subtracted.
    """

    fields: Fields | None = None
    background: FrameImages | None = None

    @property
    def in_words(self) -> str:
        """The preparation, for people."""
        return ", ".join(part.in_words for part in (self.fields, self.background) if part is not None)

    def applied(self, block: NDArray[Any]) -> NDArray[Any]:
        """Prepare the frames of a block.

        Parameters
        ----------
        block
            (frame, y, x), counts, of a floating type. It may be overwritten.

        Returns
        -------
        numpy.ndarray
            The prepared frames, in the type of the block. Backgrounds are found in frames of that type, as they
            would be stored, and subtracted in float64.

        Examples
        --------
        >>> fit = Profile("offset").on((3, 3), border_px=1)
        >>> block = np.full((1, 3, 3), 2.0)
        >>> block[0, 1, 1] = 9.0
        >>> Preparation(background=fit).applied(block)[0, 1]
        array([0., 7., 0.])
        """
        prepared = block if self.fields is None else self.fields.corrected(block)
        if self.background is not None:
            for frame, image in zip(prepared, self.background.images(prepared), strict=True):
                np.subtract(frame, image, out=frame, dtype=np.float64, casting="same_kind")
        return prepared


@dataclass(frozen=True, eq=False)
class BackgroundChoice:
    """What a user asks of the background, checked against the frames.

    Parameters
    ----------
    preparation
        What is done to frames as they are read; None for nothing.
    level
        What is subtracted afterwards.
    in_words
        The background, for the provenance of an output: text, or a number of counts.
    """

    preparation: Preparation | None
    level: Level
    in_words: str | float

    @property
    def prepared_in_words(self) -> str:
        """The preparation in words; empty for none."""
        return "" if self.preparation is None else self.preparation.in_words

    @property
    def field_preparation(self) -> Preparation | None:
        """The preparation without a background."""
        fields = None if self.preparation is None else self.preparation.fields
        return None if fields is None else Preparation(fields)

    @property
    def fields_in_words(self) -> str | None:
        """The fields that are applied, for the provenance of an output."""
        return None if self.field_preparation is None else self.field_preparation.in_words


def choose_background(
    background: Background, border_px: int, frame_shape: tuple[int, int], fields: Fields | None = None
) -> BackgroundChoice:
    """Check a background and fields against the frames.

    Raises
    ------
    ParameterError
        (a ValueError) if the background is no known name, no finite number and no image of that shape, if its
        region or the border does not fit, or if a field has another shape.
    ImportError
        For a rolling ball, if scikit-image is not installed.

    Examples
    --------
    >>> choose_background("per-frame", 20, (512, 512)).level.in_words
    'mean of each frame, border of 20 px'
    """
    if fields is not None:
        fields.check_shape(frame_shape)
    if isinstance(background, Profile | RollingBall):
        images = background.on(frame_shape, border_px)
        return BackgroundChoice(Preparation(fields, images), 0.0, images.in_words)
    level, words = _level(background, border_px, frame_shape)
    return BackgroundChoice(None if fields is None else Preparation(fields), level, words)


def is_constant(background: Level) -> bool:
    """Tell whether a background is the mean of all borders, without comparing an image with text."""
    return isinstance(background, str) and background == CONSTANT


def values_in_words(background: ArrayLike) -> str | float:
    """Describe the values of a background for the provenance of an output.

    Examples
    --------
    >>> values_in_words(2.5), values_in_words(np.zeros(9)), values_in_words(np.zeros((4, 5)))
    (2.5, 'per-frame', 'image of shape (4, 5)')
    """
    values = np.asarray(background)
    if values.ndim == 1:
        return PER_FRAME
    return float(values) if values.ndim == 0 else f"image of shape {values.shape}"


def _level(background: Any, border_px: int, frame_shape: tuple[int, int]) -> tuple[Level, str | float]:
    if isinstance(background, FrameBackground):
        levels = background.on(frame_shape, border_px)
        return levels, levels.in_words
    if isinstance(background, TimePercentile):
        return background, background.in_words
    if isinstance(background, str):
        if background not in (CONSTANT, PER_FRAME):
            raise ParameterError(
                f"background={background!r}: give '{CONSTANT}' or '{PER_FRAME}', a number, an image (y, x), or a "
                f"FrameBackground, Profile, RollingBall or TimePercentile."
            )
        border_mask(frame_shape, border_px)
        if background == PER_FRAME:
            return FrameBackground().on(frame_shape, border_px), background
        return "constant", background
    try:
        # A copy, because lazy arrays and estimates use it later.
        values = np.array(background, np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"background={background!r} is neither a number nor an image (y, x).") from error
    if values.shape not in ((), frame_shape):
        raise ParameterError(f"the background has shape {values.shape}; the frames have {frame_shape}.")
    if not np.isfinite(values).all():
        raise ParameterError("the background holds values that are not finite.")
    values.setflags(write=False)
    return (float(values) if values.ndim == 0 else values), values_in_words(values)
