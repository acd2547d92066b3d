"""One fluorescence image with its background and its metadata."""

import os
from collections.abc import Mapping
from contextlib import nullcontext
from types import EllipsisType
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .errors import FileError, ParameterError
from .fluorescence import BackgroundData, Fluorescence
from .hdf5.attributes import read_attribute
from .hdf5.changes import note_change
from .hdf5.copying import copy_image, copy_image_to_file
from .hdf5.files import GroupHolder, H5File, check_writable, noticing_damage, still_open, subgroup
from .hdf5.layout import BACKGROUNDS, FLUORESCENCE, check_is_image, is_writable, mark_version, where
from .meta import DATA_KEYS_FL, META_KEYS_FL, FLMetaDict, check_key

#: What cuts a part out of an image.
Crop = slice | EllipsisType | tuple[slice | EllipsisType, ...]


class FLImage(GroupHolder):
    """A fluorescence image, kept in an HDF5 group on disk or in memory.

    Parameters
    ----------
    data
        Raw image (y, x), counts. None opens what is there.
    meta_data
        Metadata in SI units; see `META_KEYS_FL` for the valid keys.
    h5file
        A path, a URL (or what `fsspec.open` returns), an open `h5py.Group`, or None to keep the image in memory.
    h5mode
        How to open a path: "r" read only; "r+" read and write; "w" replace; "w-" or "x" create
        and fail if it exists; "a" read and write, or create. A URL: "r" only.
    h5dtype
        Type in which new images are stored. Integers are rounded and clipped to the range of the type;
        backgrounds are floating point at any rate.

    Raises
    ------
    ParameterError
        (a ValueError) if `data` is no two-dimensional image of real numbers.
    SeriesError
        (a ValueError) if `h5file` holds a series.
    MetaKeyError
        (a KeyError) for metadata outside the vocabulary.
    FileError
        (an OSError) if the file cannot be opened, or is to be changed but open read-only.

    Warns
    -----
    ClippingWarning
        If pixels lie outside the range of an integer type.

    Examples
    --------
    >>> import numpy as np
    >>> from flimage_dask import FLImage
    >>> image = FLImage(data=np.full((4, 6), 7.0), meta_data={"time": 0.5})
    >>> image.set_bg_data(2)
    >>> image.shape, float(image["time"]), float(image.fl[0, 0])
    ((4, 6), 0.5, 5.0)
    """

    def __init__(
        self,
        data: ArrayLike | None = None,
        meta_data: Mapping[str, Any] | None = None,
        h5file: H5File = None,
        h5mode: str = "a",
        h5dtype: DTypeLike = "float32",
    ) -> None:
        if isinstance(data, str | bytes | os.PathLike | h5py.Group):
            raise ParameterError(f"data must be an image (y, x). Did you mean h5file={data!r}?")
        meta = FLMetaDict(meta_data or {})
        super().__init__(h5file, h5mode)
        try:
            with noticing_damage(self.h5):
                check_is_image(self.h5)
            self.h5dtype = h5dtype
            self._require_fluorescence()
            if data is not None:
                self._fl.set_raw(data)
            for key, value in meta.items():
                self[key] = value
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        if not self.h5:
            return f"FLImage <{hex(id(self))}>, closed"
        name = self["identifier"] if "identifier" in self else hex(id(self))
        height, width = self.shape
        return f"FLImage <{name}>, {height}x{width}px"

    def __eq__(self, other: object) -> bool:
        """Compare shape, background-corrected pixels, and the metadata that describe the data."""
        if not isinstance(other, FLImage):
            return NotImplemented
        return (
            self.shape == other.shape
            and self._data_meta() == other._data_meta()
            and np.allclose(self.fl, other.fl, equal_nan=True)
        )

    __hash__ = None  # type: ignore[assignment]  # an image can change

    def __contains__(self, key: str) -> bool:
        """Tell whether there is a value for a metadata key; other attributes do not count."""
        return key in META_KEYS_FL and read_attribute(still_open(self.h5), key) is not None

    def __getitem__(self, given: str | Crop) -> Any:
        """Return the value of a metadata key, or a part of the image as a new `FLImage` in memory.

        The background images of a part are merged into one, of the kind "data".
        """
        if isinstance(given, str):
            return self.meta[given]
        return self._crop(given)

    def __setitem__(self, key: str, value: Any) -> None:
        """Set the value of a metadata key."""
        check_key(key)
        check_writable(self.h5)
        self.h5.attrs[key] = value
        mark_version(self.h5)
        note_change(self.h5, key)

    @property
    def raw_fl(self) -> NDArray[Any]:
        """Raw image (y, x), counts, as stored."""
        return self._fl.raw

    @property
    def bg_fl(self) -> NDArray[np.float64]:
        """Background image (y, x), counts; zeros without any."""
        return self._fl.bg

    @property
    def fl(self) -> NDArray[np.float64]:
        """Background-corrected image (y, x), counts."""
        return self._fl.image

    @property
    def fluorescence(self) -> NDArray[np.float64]:
        """Background-corrected image (y, x), counts; the same as `fl`."""
        return self.fl

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw image."""
        return self._fl.dtype

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width [px]."""
        return self._fl.shape

    @property
    def meta(self) -> FLMetaDict:
        """The metadata, as a copy. Attributes outside the vocabulary are kept, but not shown."""
        group = still_open(self.h5)
        found = {key: read_attribute(group, key) for key in META_KEYS_FL}
        return FLMetaDict({key: value for key, value in found.items() if value is not None})

    @property
    def info(self) -> list[tuple[str, Any]]:
        """The metadata and the background correction, as (description, value)."""
        return [*self.meta.items(), *self._fl.info]

    def copy(self, h5file: H5File = None) -> "FLImage":
        """Copy the image with its backgrounds and all its attributes.

        Parameters
        ----------
        h5file
            A path, which is replaced once the copy is whole; an open group, in which things
            of the same names are replaced; or None for memory.

        Raises
        ------
        FileError
            (an OSError) if the image would be copied onto itself, or the file cannot be written.
        """
        here = still_open(self.h5)
        if h5file is None or isinstance(h5file, h5py.Group):
            copied = FLImage(h5file=h5file, h5dtype=self.h5dtype)
            with noticing_damage(here) if h5file is None else nullcontext():
                copy_image(here, copied.h5)
            return copied
        copy_image_to_file(here, h5file)
        return FLImage(h5file=h5file, h5dtype=self.h5dtype)

    def set_bg_data(self, bg_data: "FLImage | BackgroundData") -> None:
        """Set the measured background.

        Parameters
        ----------
        bg_data
            A number, an image (y, x) or another `FLImage`, whose background-corrected image is
            taken [counts]. None removes the background.

        Raises
        ------
        ParameterError
            (a ValueError) if its shape is not that of the image.
        """
        self._fl.set_bg(bg_data.fl if isinstance(bg_data, FLImage) else bg_data)

    def compute_bg(
        self,
        fit_offset: str = "mean",
        fit_profile: str = "tilt",
        border_m: float = 0,
        border_perc: float = 0,
        border_px: float = 0,
        from_mask: ArrayLike | None = None,
        ret_mask: bool = False,
    ) -> NDArray[np.bool_] | None:
        """Fit a smooth background and store it, as `qpimage.QPImage.compute_bg` does.

        Parameters
        ----------
        fit_offset
            How the constant is found: "mean", "fit", "mode" or "gauss"; see `Profile`.
        fit_profile
            "offset", "tilt" or "poly2o".
        border_m, border_perc, border_px
            Width of the border that shows background [m], in percent of the mean side of the image, or
            [px]; the widest of those given counts.
        from_mask
            (y, x) bool, True for background. With a border, only pixels in both count.
        ret_mask
            Return the pixels that were fitted.

        Returns
        -------
        numpy.ndarray or None
            (y, x) bool, if asked for.

        Raises
        ------
        ParameterError
            (a ValueError) if neither a border nor a mask is given, or they show too little for the profile.
        FileError
            (an OSError) if the image is open read-only.

        Notes
        -----
        The background takes the place of one that was fitted before. It is fitted to what a measured
        background (`set_bg_data`) leaves, and stored in ``bg_data/fit`` with its options; ``fl`` is the raw
        image less both.

        Examples
        --------
        >>> import numpy as np
        >>> from flimage_dask import FLImage
        >>> image = FLImage(data=np.add.outer(np.arange(20.0), np.arange(30.0)))
        >>> image.compute_bg(fit_profile="tilt", border_px=3)
        >>> bool(abs(image.fl).max() < 1e-5)
        True
        """
        border = self._widest_border(border_m, border_perc, border_px)
        if border is None and from_mask is None:
            raise ParameterError("give the pixels that show background: border_px=…, border_perc=…, or from_mask=….")
        mask = None if from_mask is None else np.asarray(from_mask)
        fitted = self._fl.fit_bg(fit_profile, fit_offset, border, mask)
        return fitted if ret_mask else None

    @property
    def _fl(self) -> Fluorescence:
        """The images."""
        return Fluorescence(subgroup(still_open(self.h5), FLUORESCENCE), self.h5dtype)

    def _require_fluorescence(self) -> None:
        """Create the group of the images in a new file."""
        with noticing_damage(self.h5):
            if FLUORESCENCE in self.h5:
                return
        if not is_writable(self.h5):
            raise FileError(f"{where(self.h5)} holds no fluorescence image.")
        mark_version(self.h5)
        self.h5.create_group(BACKGROUNDS)

    def _widest_border(self, border_m: float, border_perc: float, border_px: float) -> int | None:
        """Return the widest of the borders that are given [px]; None if none is."""
        for name, value in (("border_m", border_m), ("border_perc", border_perc), ("border_px", border_px)):
            if not 0 <= value < np.inf:
                raise ParameterError(f"{name}={value!r} must be a number that is not negative.")
        widths = [float(border_px), float(np.mean(self.shape)) * border_perc / 100]
        if border_m:
            widths.append(border_m / self["pixel size"])
        return round(max(widths)) if max(widths) else None

    def _crop(self, region: Crop) -> "FLImage":
        parts = region if isinstance(region, tuple) else (region,)
        n_slices = sum(isinstance(part, slice) for part in parts)
        n_ellipses = sum(part is ... for part in parts)
        if n_slices > 2 or n_ellipses > 1 or n_slices + n_ellipses < len(parts):
            raise ParameterError(f"image[{region!r}]: give a metadata key or slices, such as image[10:50, 10:50].")
        part = FLImage(data=self.raw_fl[parts], meta_data=self.meta, h5dtype=self.dtype)
        if self._fl.has_bg:
            part.set_bg_data(self.bg_fl[parts])
        return part

    def _data_meta(self) -> dict[str, Any]:
        meta = self.meta
        return {key: meta[key] for key in DATA_KEYS_FL if key in meta}
