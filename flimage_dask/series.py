"""A series of fluorescence images in one HDF5 file."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import h5py

from .correctable import CorrectableFrames
from .correction.bleaching import BleachingEstimate
from .errors import ParameterError
from .hdf5.files import GroupHolder, H5File, check_writable, noticing_damage, still_open
from .hdf5.layout import ESTIMATE, IDENTIFIER, check_is_series
from .image import FLImage
from .meta import FLMetaDict
from .sequence import Numbers
from .store import SeriesStore


class FLSeries(GroupHolder, CorrectableFrames):
    """A series of fluorescence images, kept in an HDF5 group on disk or in memory.

    Parameters
    ----------
    flimage_list
        Images to add, in this order.
    meta_data
        Metadata in SI units for all frames; they replace those of the images.
    h5file
        A path, a URL (or what `fsspec.open` returns), an open `h5py.Group`, or None to keep the series in memory.
    h5mode
        How to open a path: "r" read only; "r+" read and write; "w" replace; "w-" or "x" create
        and fail if it exists; "a" read and write, or create. A URL: "r" only.
    identifier
        Identifier of the series.

    Raises
    ------
    ParameterError
        (a ValueError) if `flimage_list` holds something else than images, or `meta_data` are given
        for a file that is opened read-only.
    SeriesError
        (a ValueError) if `h5file` holds a single image, or two images have the same identifier.
    FileError
        (an OSError) if the file cannot be opened, or is to be changed but open read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from flimage_dask import FLImage, FLSeries
    >>> images = [FLImage(np.full((4, 6), k), {"identifier": f"cell_{k}"}) for k in range(3)]
    >>> with FLSeries(images, meta_data={"pixel size": 1e-7}) as fls:
    ...     len(fls), fls.identifiers, float(fls["cell_2"].fl.mean())
    (3, ['cell_0', 'cell_1', 'cell_2'], 2.0)
    """

    def __init__(
        self,
        flimage_list: Iterable[FLImage] = (),
        meta_data: Mapping[str, Any] | None = None,
        h5file: H5File = None,
        h5mode: str = "a",
        identifier: str | None = None,
    ) -> None:
        if isinstance(flimage_list, str | bytes | os.PathLike | h5py.Group):
            raise ParameterError(f"flimage_list must be a list of images. Did you mean h5file={flimage_list!r}?")
        if isinstance(flimage_list, FLImage) or not isinstance(flimage_list, Iterable):
            raise ParameterError(f"flimage_list must be a list of images, not {type(flimage_list).__name__}.")
        if meta_data and h5mode == "r":
            raise ParameterError("meta_data cannot be given with h5mode='r': open the file with h5mode='a'.")
        meta = FLMetaDict(meta_data or {})
        GroupHolder.__init__(self, h5file, h5mode)
        try:
            with noticing_damage(self.h5):
                check_is_series(self.h5)
                CorrectableFrames.__init__(self, SeriesStore(self.h5, owns_file=self._is_owner))
            for image in flimage_list:
                self.add_flimage(image)
            if meta:
                self._set_meta(meta)
            if identifier:
                check_writable(self.h5)
                self.h5.attrs[IDENTIFIER] = identifier
        except BaseException:
            self.close()
            raise

    @property
    def applied_estimate(self) -> BleachingEstimate | None:
        """The estimate with which the frames were corrected for bleaching; None if they were not, or not here.

        Raises
        ------
        ParameterError
            (a ValueError) if what is stored is none.
        """
        text = self._store.group.attrs.get(ESTIMATE)
        return None if text is None else BleachingEstimate.from_json(str(text))

    def add_flimage(self, fli: FLImage, identifier: str | None = None, bg_from_idx: int | str | None = None) -> None:
        """Add a copy of an image behind the last frame.

        Parameters
        ----------
        fli
            The image.
        identifier
            Its identifier in the series; by default its own.
        bg_from_idx
            Index or identifier of a frame whose background images the new frame shares, by hard
            link, instead of its own.

        Raises
        ------
        ParameterError
            (a ValueError) if `fli` is no `FLImage`.
        SeriesError
            (a ValueError) if a frame has that identifier already.
        FrameNotFoundError
            (a KeyError, an IndexError and a ValueError) if there is no frame `bg_from_idx`.
        FileError
            (an OSError) if the file is open read-only, or another one has taken its place on the disk.
        """
        if not isinstance(fli, FLImage):
            raise ParameterError(
                f"fli must be an FLImage of flimage_dask, not {type(fli).__name__} of {type(fli).__module__}."
            )
        check_writable(self.h5)
        if not identifier and IDENTIFIER in fli:
            identifier = fli[IDENTIFIER]
        background = None if bg_from_idx is None else self.get_flimage(bg_from_idx).h5
        self._store.append(still_open(fli.h5), identifier or None, background)

    def _set_meta(self, meta: FLMetaDict) -> None:
        for image in self:
            for key, value in meta.items():
                image[key] = value

    @property
    def _numbers(self) -> range:
        return range(self._store.count())

    def _number_at(self, position: int) -> int:
        # The first frame, which tells the shape of all, is found without counting the others.
        return 0 if position == 0 and self._store.has(0) else super()._number_at(position)

    def _select(self, numbers: Numbers) -> "SeriesView":
        return SeriesView(self._store, numbers)


class SeriesView(CorrectableFrames):
    """Some frames of an open series: does everything a series does, except add frames and close the file."""

    def __init__(self, store: SeriesStore, numbers: Numbers) -> None:
        super().__init__(store)
        self._chosen = numbers

    @property
    def _numbers(self) -> Numbers:
        return self._chosen

    def _select(self, numbers: Numbers) -> "SeriesView":
        return SeriesView(self._store, numbers)
