"""Smooth backgrounds, fitted to each frame: an offset, a tilt, or a polynomial of second order.

A profile is linear in its coefficients, and a product of a power of y and a power of x at a time. So the
sums that least squares needs are made row by row, and what inverts them is the same for all frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .levels import fullest_bin
from .regions import BORDER, Region, checked_region, region_in_words, region_mask
from .row_sums import RowSums

#: The profiles, and the powers of y and x in each of their terms.
TERMS = {
    "offset": ((0, 0),),
    "tilt": ((0, 0), (1, 0), (0, 1)),
    "poly2o": ((0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2)),
}
OFFSETS = ("mean", "fit", "mode", "gauss")

# Beyond, the pixels of a region do not tell the terms apart: those of a single row do not show a tilt across it.
_WORST_CONDITION = 1e10


@dataclass(frozen=True, eq=False)
class Profile:
    """A smooth background that is fitted to each frame, as in `qpimage.bg_estimate.estimate`.

    Parameters
    ----------
    kind
        "offset", a constant; "tilt", a plane; or "poly2o", a polynomial of second order with its mixed term.
    offset
        How the constant term is found: "mean" or "fit", that of least squares; "mode", the fullest of
        sqrt(n) bins of what the profile leaves in the region; "gauss", the centre of a Gauss curve
        fitted to such bins.
    region
        Where the frame shows background: "border" (its width is the `border_px` of whoever takes the
        profile), "frame", or a mask (y, x) of bool.

    Raises
    ------
    ParameterError
        (a ValueError) if there is no such profile, offset or region.

    Notes
    -----
    ``poly2o`` is ``c0 + c1 X + c2 Y + c3 X Y + c4 X^2 + c5 Y^2``, ``tilt`` its first three terms. Pixels that
    are not finite are left out.

    Examples
    --------
    >>> rows, columns = np.mgrid[:6, :8]
    >>> fitted = Profile("tilt", region="frame").on((6, 8), border_px=1)
    >>> (image,) = fitted.images(np.array([5 + 2.0 * rows - columns]))
    >>> image[:2, :3].round(9)
    array([[5., 4., 3.],
           [7., 6., 5.]])
    """

    kind: str = "tilt"
    offset: str = "mean"
    region: Region = BORDER

    def __post_init__(self) -> None:
        for name, value, known in (("kind", self.kind, tuple(TERMS)), ("offset", self.offset, OFFSETS)):
            if value not in known:
                raise ParameterError(f"{name}={value!r} of a profile: give one of {', '.join(map(repr, known))}.")
        object.__setattr__(self, "region", checked_region(self.region))

    def on(self, frame_shape: tuple[int, int], border_px: int) -> "ProfileFit":
        """Prepare the fit to frames of a shape.

        Raises
        ------
        ParameterError
            (a ValueError) if the region does not fit the frames, or shows too little of them.
        """
        region = checked_region(self.region)
        mask = region_mask(region, frame_shape, border_px)
        return ProfileFit.of(self.kind, self.offset, mask, region_in_words(region, border_px))


@dataclass(frozen=True, eq=False)
class ProfileFit:
    """A profile and all that its fit to a frame needs but the frame.

    Parameters
    ----------
    kind, offset
        See `Profile`.
    mask
        (y, x) bool, the pixels that are fitted.
    where
        The region, for people.
    y, x
        Coordinates of rows and columns, from about -1 to 1 within the mask, so that the terms are of one size.
    inverse
        (term, term) float64, the inverse of the products of the terms summed over the mask.
    """

    kind: str
    offset: str
    mask: NDArray[np.bool_]
    where: str
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    inverse: NDArray[np.float64]

    @classmethod
    def of(cls, kind: str, offset: str, mask: NDArray[np.bool_], where: str) -> "ProfileFit":
        """Prepare the fit of a profile to the pixels of a mask."""
        y, x = (_centred(np.flatnonzero(mask.any(axis=1 - axis)), mask.shape[axis]) for axis in (0, 1))
        products = _products(mask, y, x, TERMS[kind])
        if not np.linalg.cond(products) < _WORST_CONDITION:
            raise ParameterError(
                f"the background region ({where}) is too small for the profile '{kind}': give a larger region=, or "
                f"the profile 'offset'."
            )
        return cls(kind, offset, mask, where, y, x, _inverted(products))

    @property
    def in_words(self) -> str:
        """The background, for people."""
        offset = "" if self.offset in ("mean", "fit") else f" with the {self.offset} as offset"
        return f"{self.kind} profile{offset}, {self.where}"

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored with the fitted image, in the words of qpimage."""
        return {"fit_profile": self.kind, "fit_offset": self.offset, "region": self.where}

    def images(self, block: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
        """Give the background image (y, x) of each frame of a block (frame, y, x) [counts].

        The image is overwritten by the next one. A frame without enough finite pixels in the region has an
        image of NaN. How frames are grouped in blocks does not change a single bit.
        """
        sums, image = RowSums(self.mask, self._powers), np.empty(self.mask.shape)
        for frame in block:
            self._draw(self._coefficients(frame, sums), image)
            if self.offset in ("mode", "gauss"):
                image += self._rest(frame, image)
            yield image

    @property
    def _powers(self) -> NDArray[np.float64]:
        """The powers of x in the terms (power, x)."""
        return _powers(self.x, 1 + max(b for _, b in TERMS[self.kind]))

    def _coefficients(self, frame: NDArray[Any], sums: RowSums) -> NDArray[np.float64]:
        """Solve the normal equations of one frame."""
        terms, inverse, found = TERMS[self.kind], self.inverse, sums.of(frame)
        if not np.isfinite(found).all():
            finite = np.isfinite(frame)
            mask = self.mask & finite
            products = _products(mask, self.y, self.x, terms)
            if not mask.any() or not np.linalg.cond(products) < _WORST_CONDITION:
                return np.full(len(terms), np.nan)
            inverse = _inverted(products)
            found = RowSums(mask, self._powers).of(np.where(finite, frame, 0))
        moments = np.array([(self.y**a * found[b]).sum() for a, b in terms])
        coefficients: NDArray[np.float64] = (inverse * moments).sum(axis=1)
        return coefficients

    def _draw(self, coefficients: NDArray[np.float64], image: NDArray[np.float64]) -> None:
        """Evaluate the polynomial: the powers of x, each with a coefficient for every row."""
        powers = self._powers
        columns = np.zeros((len(powers), len(self.y)))
        for (a, b), coefficient in zip(TERMS[self.kind], coefficients, strict=True):
            columns[b] += coefficient * self.y**a
        np.einsum("by,bx->yx", columns, powers, out=image)

    def _rest(self, frame: NDArray[Any], image: NDArray[np.float64]) -> float:
        """Find what the profile leaves in the region."""
        left = np.subtract(frame[self.mask], image[self.mask], dtype=np.float64)
        left = left[np.isfinite(left)]
        if not left.size:
            return np.nan
        return fullest_bin(left) if self.offset == "mode" else gauss_centre(left)


def gauss_centre(values: NDArray[np.float64]) -> float:
    """Return the centre of a Gauss curve fitted to the histogram of some values (n,), as qpimage does it.

    The histogram has ``2 sqrt(n)`` bins and is twice as wide as the values spread. Where nothing can be
    fitted, the mean is returned.
    """
    from scipy.optimize import curve_fit

    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    half = (high - low) / 2
    heights, edges = np.histogram(
        values, 2 * int(np.ceil(np.sqrt(values.size))), (low - half, high + half), density=True
    )
    centres = (edges[1:] + edges[:-1]) / 2
    peak = centres[heights > heights.max() / 2]
    start = (heights.max(), peak.mean(), max(peak[-1] - peak[0], centres[1] - centres[0]) / 2)
    try:
        (_, centre, _), _ = curve_fit(_gauss, centres, heights, start, jac=_gauss_slopes, ftol=1e-12, xtol=1e-12)
    except RuntimeError:
        return float(values.mean())
    return float(centre)


def _gauss(x: NDArray[np.float64], height: float, centre: float, width: float) -> NDArray[np.float64]:
    curve: NDArray[np.float64] = height * np.exp(-(((x - centre) / width) ** 2) / 2)
    return curve


def _gauss_slopes(x: NDArray[np.float64], height: float, centre: float, width: float) -> NDArray[np.float64]:
    distance = (x - centre) / width
    curve = np.exp(-(distance**2) / 2)
    return np.column_stack([curve, height * curve * distance / width, height * curve * distance**2 / width])


def _centred(marked: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """Count n rows or columns from the middle of the marked ones, in units of their distance from it."""
    first, last = marked[[0, -1]]
    return np.asarray((np.arange(n) - (first + last) / 2) / max((last - first) / 2, 1.0), np.float64)


def _powers(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.stack([x**power for power in range(n)])


def _products(
    mask: NDArray[np.bool_], y: NDArray[np.float64], x: NDArray[np.float64], terms: tuple[tuple[int, int], ...]
) -> NDArray[np.float64]:
    """Sum the products of each two terms over a mask: (term, term)."""
    sums = [np.einsum("yx,x->y", mask, power, dtype=np.float64) for power in _powers(x, 5)]
    return np.array([[(y ** (a + c) * sums[b + d]).sum() for c, d in terms] for a, b in terms])


def _inverted(products: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(products), np.float64)
