"""The disk alone: how long it takes to bring bytes of the size of an output to the disk."""

import os
from pathlib import Path


def write(content: bytes, path: Path) -> None:
    """Write bytes to a file and wait until they are on the disk, as ours does with its output."""
    with open(path, "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
