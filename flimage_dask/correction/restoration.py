"""The optional module of scikit-image that denoises and rolls balls."""

from importlib import import_module
from typing import Any


def load_restoration(what_for: str) -> Any:
    """Import `skimage.restoration`.

    Parameters
    ----------
    what_for
        What needs it, for the error message.

    Raises
    ------
    ImportError
        If scikit-image is not installed.
    """
    try:
        return import_module("skimage.restoration")
    except ImportError as error:
        raise ImportError(f'{what_for} needs scikit-image: pip install "flimage_dask[denoise]"') from error
