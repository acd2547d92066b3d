"""Fluorescence series larger than memory: lazy dask arrays, corrected out of core."""

from ._version import __version__

__all__ = ["__version__"]
