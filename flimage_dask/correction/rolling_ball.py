"""The background below a ball that rolls under each frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .restoration import load_restoration


@dataclass(frozen=True)
class RollingBall:
    """A background that follows everything wider than a ball.

    Parameters
    ----------
    radius
        Of the ball [px], larger than the objects. The time grows with its square.

    Raises
    ------
    ParameterError
        (a ValueError) unless the radius is a number of at least 1.
    ImportError
        When it is applied, if scikit-image is not installed (the extra ``denoise``).

    Notes
    -----
    `skimage.restoration.rolling_ball` frame by frame in float64. Method: S. R. Sternberg, Computer 16 (1),
    22-34 (1983). Pixels that are not finite carry no ball.

    Examples
    --------
    >>> RollingBall(25).in_words
    'rolling ball of 25 px'
    """

    radius: float

    def __post_init__(self) -> None:
        is_number = isinstance(self.radius, Real) and not isinstance(self.radius, bool)
        if not is_number or not 1 <= self.radius < np.inf:
            raise ParameterError(f"radius={self.radius!r} of a rolling ball must be a number of at least 1 px.")

    def on(self, frame_shape: tuple[int, int], border_px: int) -> "RollingBall":
        """Check that frames can be processed; a ball needs to know nothing of them."""
        load_restoration("a rolling ball")
        return self

    @property
    def in_words(self) -> str:
        """The background, for people."""
        return f"rolling ball of {self.radius:g} px"

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored with the background image."""
        return {"fit_profile": "rolling ball", "radius": float(self.radius)}

    def images(self, block: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
        """Give the background image (y, x) of each frame of a block (frame, y, x) [counts].

        It is 0 where no pixel within the ball is finite.
        """
        roll = load_restoration("a rolling ball").rolling_ball
        # Blocks are processed in parallel already. scikit-image renamed the argument in 0.26.
        threads = "workers" if "workers" in signature(roll).parameters else "num_threads"
        for frame in block:
            ground = frame.astype(np.float64)
            ground[~np.isfinite(ground)] = np.inf
            image: NDArray[np.float64] = roll(ground, radius=self.radius, **{threads: 1})
            image[~np.isfinite(image)] = 0.0
            yield image
