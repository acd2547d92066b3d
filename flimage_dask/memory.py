"""The peak memory of this process."""

import sys
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
