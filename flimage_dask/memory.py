"""Memory: the most that this process held, what the machine has, and what becomes of what was freed."""

import ctypes
import os
import platform
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Return the most memory that this process has held at a time [bytes].

    Returns
    -------
    int
        Resident memory: all that was in RAM, with code and libraries.

    Examples
    --------
    >>> peak_memory() > 2**20
    True
    """
    # Linux hands the peak of a parent on to the programs it starts, except here.
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
        if peaks:
            return 1024 * peaks[0]
    try:
        resource = import_module("resource")
    except ImportError:  # Windows
        return int(import_module("psutil").Process().memory_info().peak_wset)
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else 1024 * peak


@cache
def memory_of_machine() -> int:
    """Return the size of the RAM [bytes]."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows
        return int(import_module("psutil").virtual_memory().total)


# The limits glibc itself adopts once an array of 32 MiB has been freed: it reuses freed memory for blocks up to that
# size and returns only what exceeds twice that.
_LARGEST_REUSED, _MOST_KEPT = 32 << 20, 64 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def reuse_freed_memory() -> None:
    """Let this process take blocks from memory that it freed before, unless somebody has set the limits of glibc.

    Otherwise most blocks are made of fresh pages, which several threads cannot ask for at a time.
    """
    if not any(setting in os.environ for setting in _SETTINGS):
        reuse_freed_memory_as_a_worker()


@cache
def reuse_freed_memory_as_a_worker() -> None:
    """Let this process take blocks from memory that it freed before, though dask has told it to give all of it back.

    That is how dask starts its workers (``MALLOC_TRIM_THRESHOLD_``). Every block would be made of fresh pages, which
    doubles the time of a run; kept is what some blocks take. ``MALLOC_MMAP_THRESHOLD_`` prevents it.
    """
    if platform.libc_ver()[0] != "glibc" or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    glibc = ctypes.CDLL(None)
    glibc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_REUSED)
    glibc.mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
