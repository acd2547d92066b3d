"""The pixels of one image, as HDF5 finds them."""

from typing import Any

import h5py
from h5py import h5d
from numpy.typing import NDArray

from ..errors import FrameDataError
from .encoding import load_filters
from .layout import said
from .remote import refuse_local_data


def read_pixels(dataset: h5py.Dataset) -> NDArray[Any]:
    """Read an image.

    Raises
    ------
    FrameDataError
        (an OSError) if it is damaged, needs a filter that is not there, or lies where it cannot be reached.
    """
    try:
        refuse_local_data(dataset)
        load_filters(dataset.id)
        image: NDArray[Any] = dataset[()]
    except (MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise FrameDataError(
            f"{image_name(dataset)} cannot be read: {said(error)}. Restore the file from a copy, or install the filter "
            f"that it needs (hdf5plugin)."
        ) from error
    return image


def image_name(dataset: h5py.Dataset) -> str:
    """Name an image for an error message: its path in its file."""
    return f"'{dataset.name}' of '{dataset.file.filename}'"


def holds_its_pixels(dataset: h5d.DatasetID) -> bool:
    """Tell whether the pixels of an image lie in it, not in other datasets (virtual) or files (external storage)."""
    properties = dataset.get_create_plist()
    return bool(properties.get_layout() != h5d.VIRTUAL and properties.get_external_count() == 0)
