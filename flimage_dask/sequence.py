"""Frames in a row: what a series and a part of it have in common.

Frames are reached one by one as `FLImage`, all together as lazy dask arrays, and their metadata as columns.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import EllipsisType
from typing import Any, Generic, TypeVar, overload

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from .errors import FrameNotFoundError, ParameterError, SeriesError
from .fluorescence import BackgroundData, Fluorescence
from .hdf5.attributes import Column, Columns, read_attribute, read_column, read_columns
from .hdf5.changes import FRAMES, IMAGES, PLACES, Remembered
from .hdf5.index import SeriesIndex, index_series
from .hdf5.layout import BACKGROUNDS, FLUORESCENCE, IDENTIFIER, where
from .image import FLImage
from .lazy.arrays import LazySeries, lazy_series
from .lazy.frame_source import FrameSource
from .meta import META_KEYS_FL
from .positions import as_position, positions_of
from .progress import track
from .store import SeriesStore

#: Numbers k of the groups ``fli_k``.
Numbers = range | NDArray[np.int64]


# An index that takes longer shows its progress [s].
_PATIENCE = 1.0

View = TypeVar("View")

Index = int | np.integer[Any]


class FrameSequence(ABC, Generic[View]):
    """Some frames of an open series, in some order."""

    def __init__(self, store: SeriesStore) -> None:
        self._store = store
        self._remembered = Remembered(store.changes)

    @property
    @abstractmethod
    def _numbers(self) -> Numbers:
        """Numbers of the frames in the file."""

    @abstractmethod
    def _select(self, numbers: Numbers) -> View:
        """Make a view of some frames."""

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[FLImage]:
        self._store.check_no_gap()
        return (self._image(int(number)) for number in self._numbers)

    def __contains__(self, identifier: object) -> bool:
        """Tell whether a frame has an identifier."""
        return self._store.numbers_by_identifier().get(str(identifier)) in self._numbers

    @overload
    def __getitem__(self, index: Index | str) -> FLImage: ...

    @overload
    def __getitem__(self, index: slice | EllipsisType | list[int] | list[bool] | NDArray[Any]) -> View: ...

    def __getitem__(
        self, index: Index | str | slice | EllipsisType | list[int] | list[bool] | NDArray[Any]
    ) -> FLImage | View:
        """Return a frame by index or identifier; for a slice, a list of indices or a mask a view of these frames."""
        if index is ...:
            return self._select(self._numbers)
        if isinstance(index, tuple):
            raise ParameterError(f"fls[{index!r}]: the index names frames only; pixels are those of fls.fl[…].")
        if isinstance(index, slice):
            return self._select(self._numbers[index])
        if isinstance(index, np.ndarray) and index.ndim == 0:
            return self.get_flimage(index.item())
        if isinstance(index, list | np.ndarray):
            return self._select(self._numbers_at(index))
        return self.get_flimage(index)

    def __repr__(self) -> str:
        if not self._store.is_open:
            return f"{type(self).__name__} <{hex(id(self))}>, closed"
        name = self.identifier or hex(id(self))
        place = "in memory" if self.origin is None else f"'{self.origin}'"
        return f"{type(self).__name__} <{name}>, {len(self)} frames, {place}"

    @property
    def identifier(self) -> str | None:
        """Identifier of the series; None if it has none."""
        identifier = read_attribute(self._store.group, IDENTIFIER)
        return None if identifier is None else str(identifier)

    @property
    def path(self) -> Path | None:
        """The file of the series; None if it is in memory or behind a URL."""
        return self._store.path

    @property
    def origin(self) -> str | None:
        """The path of the series, or its URL without user, password and query; None if it is in memory."""
        return self._store.origin

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of frames, height and width."""
        if len(self) == 0:
            raise SeriesError(f"{self!r}: add frames with add_flimage(…), or choose a part that holds some.")
        return (len(self), *self[0].shape)

    @property
    def times(self) -> NDArray[np.float64]:
        """Acquisition times (n,) of the frames [s]; NaN where a frame has none."""
        times = np.full(len(self), np.nan)
        for position, value in enumerate(self._column("time")):
            try:
                times[position] = np.nan if value is None else value
            except (TypeError, ValueError) as error:
                raise SeriesError(
                    f"frame {position} of {where(self._store.group)} has the time {value!r}, which is not a number "
                    f"of seconds: set fls[{position}]['time']."
                ) from error
        return times

    @property
    def identifiers(self) -> list[str | None]:
        """Identifiers of the frames as text, by which they are found; None where a frame has none."""
        return [None if name is None else str(name) for name in self._column(IDENTIFIER)]

    @property
    def meta(self) -> Columns:
        """Metadata of the frames: for each key a list with one value a frame, None where it has none."""
        self._store.count()
        columns = self._remembered.get("meta", (), self._read_columns)
        return {key: list(columns[key]) for key in META_KEYS_FL if key in columns}

    @property
    def raw_fl(self) -> da.Array:
        """Raw images, a lazy dask array (frame, y, x) [counts]."""
        return self.lazy().raw_fl

    @property
    def bg_fl(self) -> da.Array:
        """Background images, a lazy dask array (frame, y, x) [counts]; 0 for frames without."""
        return self.lazy().bg_fl

    @property
    def fl(self) -> da.Array:
        """Background-corrected images, a lazy dask array (frame, y, x) [counts]."""
        return self.lazy().fl

    @property
    def fluorescence(self) -> da.Array:
        """Background-corrected images, a lazy dask array (frame, y, x) [counts]; the same as `fl`."""
        return self.fl

    def lazy(self, block_bytes: int | str | None = None) -> LazySeries:
        """Expose all frames as lazy dask arrays in blocks of whole frames.

        Parameters
        ----------
        block_bytes
            Uncompressed size of a block, such as ``"64 MiB"``; a block holds at least one frame.
            By default dask's ``array.chunk-size``, but no more than 8 MiB.

        Returns
        -------
        LazySeries
            With `raw_fl`, `bg_fl` and `fl`, which may be pickled and computed on any scheduler.

        Raises
        ------
        SeriesError
            (a ValueError) if there are no frames, one is missing, or they differ in shape.
        ParameterError
            (a ValueError) if `block_bytes` is no size.

        Examples
        --------
        >>> import numpy as np
        >>> from flimage_dask import FLImage, FLSeries
        >>> fls = FLSeries([FLImage(np.full((8, 8), k)) for k in range(5)])
        >>> fls.lazy(block_bytes=512).fl.mean(axis=(1, 2)).compute()
        array([0., 1., 2., 3., 4.], dtype=float32)
        """
        return lazy_series(self._source(), block_bytes)

    def get_flimage(self, index: Index | str) -> FLImage:
        """Return one frame.

        Parameters
        ----------
        index
            Its position, negative from the end, or its identifier.

        Returns
        -------
        FLImage
            In the file of the series: what is changed in one is changed in the other.

        Raises
        ------
        FrameNotFoundError
            (a KeyError, an IndexError and a ValueError) if there is no such frame.
        """
        if isinstance(index, str):
            number = self._store.numbers_by_identifier().get(index)
            if number is None or number not in self._numbers:
                raise FrameNotFoundError(f"no frame of {self!r} has the identifier '{index}'.")
            return self._image(number)
        return self._image(self._number_at(as_position(index, "fls[…]")))

    def set_bg_data(self, bg_data: FLImage | BackgroundData) -> None:
        """Set one measured background for all frames, stored once and shared by hard links.

        Parameters
        ----------
        bg_data
            A number, an image (y, x) or an `FLImage` [counts]; None removes the background.

        Raises
        ------
        ParameterError
            (a ValueError) if its shape is not that of the frames.
        FileError
            (an OSError) if the file is open read-only.
        """
        shared = bg_data.fl if isinstance(bg_data, FLImage) else bg_data
        # All or none: the first frame must not have it when another one cannot.
        for number in self._numbers:
            Fluorescence(self._store.frame(int(number))[FLUORESCENCE]).check_bg(shared)
        for number in self._numbers:
            frame = self._store.frame(int(number))
            Fluorescence(frame[FLUORESCENCE]).set_bg(shared)
            if shared is not None:
                shared = frame[f"{BACKGROUNDS}/data"]

    def _source(self, progress: bool | None = None) -> FrameSource:
        """Return where lazy arrays find the frames."""
        self._store.count()
        self._store.follow_file()
        depends_on = (FRAMES, IMAGES, PLACES)
        return self._store.source(self._remembered.get("index", depends_on, lambda: self._index(progress)))

    def _index(self, progress: bool | None) -> SeriesIndex:
        self._store.check_no_gap()
        numbers = self._number_array()
        with track(2 * len(numbers), "indexing", progress, delay=_PATIENCE) as shown:
            return index_series(self._store.group, numbers, shown.advance)

    def _image(self, number: int) -> FLImage:
        return FLImage(h5file=self._store.frame(number))

    def _column(self, key: str) -> Column:
        self._store.count()
        columns: Columns | None = self._remembered.known("meta", ())
        if columns is not None:
            return columns.get(key, [None] * len(self))
        return self._remembered.get(key, (FRAMES, key), lambda: self._read_column(key))

    def _read_column(self, key: str) -> Column:
        self._store.check_no_gap()
        return read_column(self._store.group, self._number_array(), key)

    def _read_columns(self) -> Columns:
        self._store.check_no_gap()
        return read_columns(self._store.group, self._number_array())

    def _number_array(self) -> NDArray[np.int64]:
        numbers = self._numbers
        if isinstance(numbers, range):
            return np.arange(numbers.start, numbers.stop, numbers.step)
        return numbers

    def _number_at(self, position: int) -> int:
        """Turn a position, negative ones from the end, into the number of a frame."""
        self._check_positions(np.array([position]))
        return int(self._numbers[position])

    def _numbers_at(self, indices: list[Any] | NDArray[Any]) -> NDArray[np.int64]:
        """Turn positions, negative ones from the end, or a mask into numbers of frames."""
        positions = np.array(positions_of(indices, len(self), "fls[…]"), np.int64)
        self._check_positions(positions)
        return self._number_array()[positions]

    def _check_positions(self, positions: NDArray[np.int64]) -> None:
        n_frames = len(self)
        outside = positions[(positions < -n_frames) | (positions >= n_frames)]
        if outside.size:
            raise FrameNotFoundError(f"there is no frame {outside[0]}: {self!r}.")
