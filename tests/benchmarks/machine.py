"""What a run was made on: cores, processor, memory, versions."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import h5py
from dask.system import CPU_COUNT

_PACKAGES = ("flimage_dask", "flimage", "dask", "zarr", "h5py", "numpy", "isal", "deflate")


@dataclass(frozen=True)
class Machine:
    """Processor, number of usable cores, and the versions of what was measured."""

    processor: str
    cores: int
    system: str
    versions: dict[str, str]
    date: str
    #: Work of other programs during the last minute before the run [cores]; None where it is unknown.
    load: float | None

    @classmethod
    def here(cls) -> "Machine":
        """Describe this machine, now."""
        versions = {"python": platform.python_version(), "HDF5": h5py.version.hdf5_version}
        return cls(
            processor=_processor(),
            cores=CPU_COUNT,
            system=f"{platform.system()} {platform.machine()}",
            versions=versions | {package: version(package) for package in _PACKAGES},
            date=datetime.now(UTC).date().isoformat(),
            load=round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        )

    def __str__(self) -> str:
        versions = ", ".join(f"{package} {number}" for package, number in self.versions.items())
        load = "" if self.load is None else f", load before the run {self.load}"
        return f"{self.cores} cores of {self.processor}, {self.system}{load}; {versions}; {self.date}"

    def as_dict(self) -> dict[str, object]:
        """Return what JSON can hold."""
        return asdict(self)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or "an unknown processor"
