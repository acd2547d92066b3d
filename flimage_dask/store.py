"""An open series file: its frames by number and by identifier, and how their images are read."""

from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from dask.base import tokenize

from .errors import SeriesError
from .hdf5.attributes import read_column
from .hdf5.changes import EVERYTHING, FRAMES, IMAGES, PLACES, FileChanges, Remembered, note_change
from .hdf5.copying import copy_image_as, link_backgrounds
from .hdf5.files import bound_metadata_cache, noticing_damage, still_open
from .hdf5.index import SeriesIndex
from .hdf5.layout import (
    IDENTIFIER,
    check_no_gap,
    count_frames,
    frame_name,
    gap_error,
    is_writable,
    path_of,
    unopened_error,
    where,
)
from .hdf5.local import check_in_place
from .hdf5.reader import open_reader
from .hdf5.source import origin_of, source_of
from .lazy.frame_source import FrameSource
from .plain_json import plain

_WHOLE = "has no gap"
_WHOLE_DEPENDS_ON = (FRAMES,)
_NAMES = "numbers by identifier"
_NAMES_DEPEND_ON = (FRAMES, IDENTIFIER)


class SeriesStore:
    """The HDF5 group of an open series.

    Parameters
    ----------
    group
        The group that holds ``fli_0``, ``fli_1``, …
    owns_file
        Whether the file was opened for this series alone, so that what HDF5 keeps of it in memory may be bounded
        once the frames are counted.
    """

    def __init__(self, group: h5py.Group, *, owns_file: bool = False) -> None:
        self._group = group
        self._bounds_cache = owns_file
        # Asked for now: a group that somebody opened by a relative name is not found by it from another folder.
        self.path, self.origin = path_of(group), origin_of(group)
        self._n_frames: int | None = None
        self.changes = FileChanges.watch(group)
        self._remembered = Remembered(self.changes)
        self._stamp = source_of(group, self.path)
        self._reader = open_reader(group, self.path)
        self._opening = uuid4().hex

    @property
    def group(self) -> h5py.Group:
        """The group, as long as its file is open."""
        return still_open(self._group)

    @property
    def is_open(self) -> bool:
        """Whether the file is open."""
        return bool(self._group)

    def count(self) -> int:
        """Count the frames. What is remembered of them is forgotten if they came or went through h5py."""
        group, n_frames = self.group, self._n_frames or 0
        # HDF5 counts by visiting all links. That the last known frame is still the last is seen at once.
        with noticing_damage(group):
            if frame_name(n_frames) in group or (n_frames and frame_name(n_frames - 1) not in group):
                n_frames = count_frames(group)
                if self._n_frames is not None:
                    # Frames came or went past this package, and nobody knows which.
                    note_change(group, EVERYTHING)
        self._n_frames = n_frames
        if self._bounds_cache:
            bound_metadata_cache(group.file, n_frames)
            self._bounds_cache = False
        return n_frames

    def has(self, number: int) -> bool:
        """Tell whether there is a frame of a number."""
        group = self.group
        with noticing_damage(group):
            return frame_name(number) in group

    def check_no_gap(self) -> None:
        """Refuse a series with frames that counting passed over; before whatever visits all frames."""
        with noticing_damage(self.group):
            if not self._remembered.known(_WHOLE, _WHOLE_DEPENDS_ON):
                check_no_gap(self.group, self.count())
                self._remembered.put(_WHOLE, _WHOLE_DEPENDS_ON, True)

    def frame(self, number: int) -> h5py.Group:
        """Return the group of a frame."""
        group = self.group
        with noticing_damage(group):
            try:
                frame = group[frame_name(number)]
            except (KeyError, RuntimeError) as error:
                raise unopened_error(group, number, error) from error
        if not isinstance(frame, h5py.Group):
            raise unopened_error(group, number, TypeError("it is not a group"))
        return frame

    def numbers_by_identifier(self) -> dict[str, int]:
        """Return the number of the first frame with each identifier."""
        self.count()
        return self._remembered.get(_NAMES, _NAMES_DEPEND_ON, self._read_identifiers)

    def append(self, image: h5py.Group, identifier: Any, background: h5py.Group | None) -> None:
        """Copy an image behind the last frame, optionally with the backgrounds of another frame."""
        check_in_place(self.path, self.group)
        number = self._next_number()
        if isinstance(identifier, bytes | np.generic):
            identifier = plain(identifier)
        if identifier is not None and str(identifier) in self.numbers_by_identifier():
            raise SeriesError(
                f"the identifier '{identifier}' already exists in {where(self.group)}: give another one with "
                f"add_flimage(…, identifier=…)."
            )
        names = self._remembered.known(_NAMES, _NAMES_DEPEND_ON)
        try:
            frame = copy_image_as(image, self.group, frame_name(number))
            if background is not None:
                link_backgrounds(background, frame)
            if identifier is not None:
                frame.attrs[IDENTIFIER] = identifier
                names[str(identifier)] = number
        except BaseException:
            self.group.pop(frame_name(number), None)
            raise
        self._n_frames = number + 1
        note_change(self.group, FRAMES)
        if names is not None:
            # Appending is no reason to read all identifiers again: n frames would take n^2 reads.
            self._remembered.put(_NAMES, _NAMES_DEPEND_ON, names)

    def follow_file(self) -> None:
        """Find out the state of a file that is being written, brought to the disk first.

        Other processes know the frames by the state in which they were indexed. In another state their bytes may
        lie elsewhere, whether they were written by this package or through h5py.
        """
        if not is_writable(self.group):
            return
        self.group.file.flush()
        stamp = source_of(self.group, self.path)
        if stamp != self._stamp:
            self._stamp, self._reader = stamp, open_reader(self.group, self.path)
            note_change(self.group, PLACES)

    def source(self, index: SeriesIndex) -> FrameSource:
        """Return where lazy arrays find some frames, which were indexed after `follow_file`."""
        # Changes of other files leave no trace in this one: nothing is taken for what an earlier opening found.
        content = (self._stamp or self._reader, self._opening if index.in_other_files else None)
        changes = self.changes.count(FRAMES, IMAGES)
        token = tokenize(content, self.group.name, index.frames.numbers, changes)
        return FrameSource(self._reader, index, token, self._stamp)

    def _next_number(self) -> int:
        number = self.count()
        if frame_name(number) in self.group:
            raise gap_error(self.group, next(k for k in range(number) if frame_name(k) not in self.group))
        return number

    def _read_identifiers(self) -> dict[str, int]:
        self.check_no_gap()
        column = read_column(self.group, np.arange(self.count()), IDENTIFIER)
        # The first frame of a name is the one that counts: it overwrites the others.
        return {str(name): number for number, name in reversed(list(enumerate(column))) if name is not None}
