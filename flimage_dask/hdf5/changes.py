"""Notice what changes in an open file, so that nothing read before is trusted after."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar
from weakref import WeakValueDictionary

import h5py
from h5py import h5g

#: Changes that are no metadata key.
FRAMES: Final = "frames"
IMAGES: Final = "images"
#: Where images lie: the file has changed, by whoever's hand, since they were last found in it.
PLACES: Final = "places"
#: A change of whatever there is: a whole series was written or removed.
EVERYTHING: Final = "everything"


class FileChanges:
    """How often the things in one open file have been changed by this process."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    @classmethod
    def watch(cls, group: h5py.Group) -> Self:
        """Return the changes of the file of a group, the same object for all who watch it."""
        number = _file_number(group)
        changes = _watched.get(number)
        if not isinstance(changes, cls):
            changes = _watched[number] = cls()
        return changes

    def count(self, *things: str) -> tuple[int, ...]:
        """Tell how often some things were changed; without any, how often anything was."""
        if not things:
            return (self._counts.total(),)
        return tuple(self._counts[thing] + self._counts[EVERYTHING] for thing in things)

    def note(self, thing: str) -> None:
        """Count one change."""
        self._counts[thing] += 1


_T = TypeVar("_T")


class Remembered:
    """Values read from a file, each kept until something it was read from changes."""

    def __init__(self, changes: FileChanges) -> None:
        self._changes = changes
        self._values: dict[str, tuple[tuple[int, ...], Any]] = {}

    def get(self, name: str, things: tuple[str, ...], read: Callable[[], _T]) -> _T:
        """Return a value, read again if any of some things changed (without any: if anything did)."""
        value: _T | None = self.known(name, things)
        if value is None:
            value = read()
            self.put(name, things, value)
        return value

    def known(self, name: str, things: tuple[str, ...]) -> Any:
        """Return a value that is still valid, or None."""
        state, value = self._values.get(name, (None, None))
        return value if state == self._changes.count(*things) else None

    def put(self, name: str, things: tuple[str, ...], value: object) -> None:
        """Keep a value that is known without reading."""
        self._values[name] = self._changes.count(*things), value


_watched: "WeakValueDictionary[int, FileChanges]" = WeakValueDictionary()


def note_change(group: h5py.Group, thing: str) -> None:
    """Tell those who watch the file of a group that a metadata key changed, or what has a name here."""
    changes = _watched.get(_file_number(group))
    if changes is not None:
        changes.note(thing)


def _file_number(group: h5py.Group) -> int:
    """Return HDF5's own number of an open file, which it never gives out twice."""
    # Asked for more about a group, HDF5 visits all that is in it.
    return int(h5g.get_objinfo(group.id).fileno[0])
