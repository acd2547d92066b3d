"""Denoising of frames by total variation, as flimage does it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .restoration import load_restoration


def denoise_tv(block: NDArray[Any], weight: float = 2) -> NDArray[np.float32]:
    """Denoise each frame by total variation.

    Parameters
    ----------
    block
        (frame, y, x), counts.
    weight
        Larger values smooth more.

    Returns
    -------
    numpy.ndarray
        (frame, y, x) float32, counts.

    Raises
    ------
    ImportError
        If scikit-image is not installed.

    Notes
    -----
    `skimage.restoration.denoise_tv_chambolle` frame by frame in float64, as in flimage. Method:
    A. Chambolle, J. Math. Imaging Vis. 20, 89-97 (2004).
    """
    restoration = load_restoration("denoising")
    denoised = np.empty(block.shape, np.float32)
    for frame, target in zip(block, denoised, strict=True):
        target[...] = restoration.denoise_tv_chambolle(frame.astype(np.float64), weight=weight)
    return denoised
