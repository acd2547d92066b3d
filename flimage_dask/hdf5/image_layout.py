"""How one image is stored: its shape, type and filters, and the byte range that holds it, if one does."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from h5py import h5d, h5p, h5t

from ..memory import memory_of_machine
from .filters import DEFLATE, SHUFFLE, FilterPipeline

#: Offset of an image that lies in no single byte range: HDF5 must read it.
NO_RANGE = -1


@dataclass(frozen=True)
class ImageLayout:
    """What the images of one kind of dataset have in common."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    filters: tuple[int, ...]
    contiguous: bool
    one_chunk: bool
    may_be_elsewhere: bool
    stored: h5t.TypeID = field(compare=False)
    properties: h5p.PropDCID = field(compare=False)

    @classmethod
    def of(cls, dataset: h5d.DatasetID) -> Self:
        """Ask for all of it; a TypeError where numpy has no type of the kind."""
        properties = dataset.get_create_plist()
        layout = properties.get_layout()
        chunked = layout == h5d.CHUNKED
        filters = [properties.get_filter(k) for k in range(properties.get_nfilters())] if chunked else []
        codes = tuple(code for code, *_ in filters)
        is_external = layout == h5d.CONTIGUOUS and properties.get_external_count() > 0
        # A type that numpy has no equal for (reduced precision, another byte order) is HDF5's to convert.
        plain = dataset.dtype.kind in "fiu" and h5t.py_create(dataset.dtype.newbyteorder("=")) == dataset.get_type()
        return cls(
            shape=dataset.shape,
            dtype=dataset.dtype,
            filters=codes,
            contiguous=plain and layout == h5d.CONTIGUOUS and not is_external,
            one_chunk=plain
            and chunked
            and properties.get_chunk() == dataset.shape
            and FilterPipeline.can_decode(codes)
            and all(_is_usual(code, values, dataset.dtype.itemsize) for code, _, values, _ in filters),
            may_be_elsewhere=is_external or layout == h5d.VIRTUAL,
            stored=dataset.get_type(),
            properties=properties,
        )

    def fits(self, dataset: h5d.DatasetID) -> bool:
        """Tell whether a dataset has this layout, faster than by asking for all of it."""
        return bool(
            dataset.shape == self.shape
            and dataset.get_type() == self.stored
            and dataset.get_create_plist().equal(self.properties)
        )

    def is_chunk_of(self, pipeline: FilterPipeline) -> bool:
        """Tell whether an image is one chunk that these filters made."""
        return self.one_chunk and (self.filters, self.dtype.itemsize) == (pipeline.codes, pipeline.itemsize)

    def locate(self, dataset: h5d.DatasetID) -> tuple[int, int, int]:
        """Return offset, size and filter mask of an image, or `NO_RANGE`."""
        if self.one_chunk:
            chunk = dataset.get_chunk_info_by_coord((0, 0))
            if chunk.byte_offset is not None:
                return chunk.byte_offset, chunk.size, chunk.filter_mask
        elif self.contiguous:
            offset = dataset.get_offset()
            if offset is not None:
                return offset, dataset.get_storage_size(), 0
        return NO_RANGE, 0, 0


def flaw_of(dataset: h5d.DatasetID) -> str | None:
    """Say why a dataset is no image; None if it is one."""
    shape, dtype = dataset.shape, _dtype_of(dataset)
    if dataset.rank != 2 or dtype is None or dtype.kind not in "fiub":
        return f"has shape {shape} and type {dtype or 'unknown'}; a frame is a two-dimensional image of real numbers."
    if 0 in shape:
        return f"has shape {shape}, so that it holds no pixel."
    n_bytes, most = shape[0] * shape[1] * dtype.itemsize, memory_of_machine()
    # A damaged file may promise anything.
    if n_bytes > most:
        return f"has shape {shape}, {n_bytes / 2**30:,.0f} GiB, and the memory of this machine {most / 2**30:,.0f} GiB."
    return None


def _dtype_of(dataset: h5d.DatasetID) -> np.dtype[Any] | None:
    """Return the type of a dataset; None if numpy has no such type."""
    try:
        dtype: np.dtype[Any] = dataset.dtype
    except (TypeError, ValueError):
        return None
    return dtype


def _is_usual(code: int, values: tuple[int, ...], itemsize: int) -> bool:
    """Tell whether the parameters of a filter are those with which HDF5 would undo it as it is done here."""
    if code == DEFLATE:
        return len(values) == 1 and values[0] <= 9
    return code != SHUFFLE or values == (itemsize,)
