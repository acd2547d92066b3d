"""Objects that belong to one process, such as an open file, in graphs that may be pickled.

Some schedulers pickle a graph even when its tasks run on threads of the same process. A
process-local object is pickled as its name, and found again by that name.
"""

from typing import Any, ClassVar, Self
from uuid import uuid4
from weakref import WeakValueDictionary


class ProcessLocal:
    """A base for objects that are pickled by name."""

    _alive: ClassVar["WeakValueDictionary[str, ProcessLocal]"] = WeakValueDictionary()

    def __init__(self) -> None:
        self.local_name = uuid4().hex
        self._alive[self.local_name] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).find, (self.local_name,)

    def __dask_tokenize__(self) -> str:
        return self.local_name

    @classmethod
    def find(cls, name: str) -> Self:
        """Return the object of this process that has a name."""
        found = cls._alive.get(name)
        if not isinstance(found, cls):
            raise cls.elsewhere()
        return found

    @classmethod
    def elsewhere(cls) -> Exception:
        """Make the error for an object that lives in another process, or is gone."""
        return RuntimeError(f"this {cls.__name__} lives in another process, or is gone.")
