"""One image, under the name of the module in which flimage keeps it."""

from .image import FLImage

__all__ = ["FLImage"]
