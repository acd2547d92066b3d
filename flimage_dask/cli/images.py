"""Images that options name: backgrounds, fields and masks."""

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

#: How the names of such files end.
IMAGES = (".npy", ".h5", ".hdf5")


def read_image(file: Path) -> NDArray[Any]:
    """Read an image from a file of `numpy.save`, or an HDF5 file with a single image.

    Raises
    ------
    click.BadParameter
        If the file holds no array.
    """
    if file.suffix in IMAGES[1:]:
        from ..image import FLImage

        with FLImage(h5file=file, h5mode="r") as image:
            return image.fl
    try:
        found: NDArray[Any] = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise click.BadParameter(f"'{file}' is not an array as numpy.save writes it") from error
    return found
