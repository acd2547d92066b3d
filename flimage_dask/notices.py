"""Warnings that point at the line outside this package that led to them."""

import sys
import warnings


class BleachingWarning(UserWarning):
    """A series can be corrected, but something should be checked; the message says what."""


class ClippingWarning(UserWarning):
    """Pixels lie outside the type in which they are stored or computed."""


class SchedulerWarning(UserWarning):
    """The active scheduler cannot be used, so that threads of this process do the work; or it has no worker."""


def warn(text: str, category: type[Warning]) -> None:
    """Warn whoever called into this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(f"{__package__}."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
