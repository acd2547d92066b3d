"""Fluorescence series larger than memory: lazy dask arrays, corrected out of core.

A drop-in successor of flimage: ``import flimage_dask as flimage``.
"""

from . import core, errors, meta, series
from ._version import __version__
from .correction.bleaching import BleachingEstimate
from .correction.levels import FrameBackground
from .correction.over_time import TimePercentile
from .correction.profiles import Profile
from .correction.rolling_ball import RollingBall
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
    "FrameBackground",
    "Profile",
    "RollingBall",
    "SchedulerWarning",
    "TimePercentile",
    "__version__",
    "core",
    "errors",
    "meta",
    "series",
    "to_hdf5",
]
