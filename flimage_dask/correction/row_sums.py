"""The rows of a frame summed within a mask, weighted with powers of the place in the row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .strips import row_strips

# Up to here it is faster to pick the marked pixels: of a border a frame of 512 x 512 takes 0.15 ms instead of 0.5.
_FEW = 1 / 4


class RowSums:
    """Sums over the rows of frames of one shape.

    No product of matrices is used, because the last bit of one depends on how many threads BLAS has.

    Parameters
    ----------
    mask
        (y, x) bool, the pixels that are summed.
    powers
        (power, x) float64, the weights.

    Examples
    --------
    >>> sums = RowSums(np.array([[True, False, True]]), np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]))
    >>> sums.of(np.array([[5.0, 7.0, 3.0]]))
    array([[8.],
           [6.]])
    """

    def __init__(self, mask: NDArray[np.bool_], powers: NDArray[np.float64]) -> None:
        self._mask = mask
        self._powers = powers
        self._is_sparse = np.count_nonzero(mask) <= _FEW * mask.size
        if self._is_sparse:
            self._places = np.flatnonzero(mask)
            rows, columns = np.divmod(self._places, mask.shape[1])
            self._starts = np.flatnonzero(np.diff(rows, prepend=-1))
            self._rows = rows[self._starts]
            self._weights = powers[:, columns]
        else:
            self._strips = row_strips(mask.shape)
            self._pixels = np.empty((self._strips[0].stop, mask.shape[1]))

    def of(self, frame: NDArray[Any]) -> NDArray[np.float64]:
        """Sum the rows of a frame (y, x): (power, y) float64."""
        sums = np.zeros((len(self._powers), len(frame)))
        # 0 times infinity in a pixel that is not marked, which the caller finds in the sums.
        with np.errstate(invalid="ignore"):
            if self._is_sparse:
                self._add_marked(frame, sums)
            else:
                self._add_strips(frame, sums)
        return sums

    def _add_marked(self, frame: NDArray[Any], sums: NDArray[np.float64]) -> None:
        marked = frame.reshape(-1)[self._places].astype(np.float64)
        weighted = np.empty_like(marked)
        for weights, target in zip(self._weights, sums, strict=True):
            np.multiply(marked, weights, out=weighted)
            if self._starts.size:
                target[self._rows] = np.add.reduceat(weighted, self._starts)

    def _add_strips(self, frame: NDArray[Any], sums: NDArray[np.float64]) -> None:
        for rows in self._strips:
            pixels = self._pixels[: rows.stop - rows.start]
            np.copyto(pixels, frame[rows])
            np.multiply(pixels, self._mask[rows], out=pixels)
            for power, target in zip(self._powers, sums, strict=True):
                np.einsum("yx,x->y", pixels, power, out=target[rows])
