"""Fluorescence series larger than memory: lazy dask arrays, corrected out of core.

A drop-in successor of flimage: ``import flimage_dask as flimage``.
"""

from . import errors, meta, series
from . import image as core
from ._version import __version__
from .correction.bleaching import BleachingEstimate
from .image import FLImage
from .meta import META_KEYS_FL
from .notices import BleachingWarning, ClippingWarning, SchedulerWarning
from .saving import to_hdf5
from .series import FLSeries

__all__ = [
    "META_KEYS_FL",
    "BleachingEstimate",
    "BleachingWarning",
    "ClippingWarning",
    "FLImage",
    "FLSeries",
    "SchedulerWarning",
    "__version__",
    "core",
    "errors",
    "meta",
    "series",
    "to_hdf5",
]
