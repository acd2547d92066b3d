"""Values of a JSON object that somebody may have edited: each is refused by its key if it is something else."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

T = TypeVar("T")
#: Characters of a wrong value that are shown.
SHOWN = 40
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class CheckedObject:
    """An object of JSON whose values are taken out by kind.

    Parameters
    ----------
    content
        What was read.
    path
        Keys that lead to it, such as "arrays.", for messages.

    Raises
    ------
    ParameterError
        (a ValueError) by each method, if the key is missing or its value is of another kind.

    Examples
    --------
    >>> CheckedObject({"r2": None, "robust": True}).number("r2")
    nan
    >>> CheckedObject({"robust": "false"}).flag("robust")
    Traceback (most recent call last):
    flimage_dask.errors.ParameterError: the estimate has robust = "false": expected true or false. Mend it, or write...
    """

    content: Mapping[str, Any]
    path: str = ""

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def part(self, key: str) -> Self:
        """Return an object inside of this one."""
        return type(self)(self._of_kind(key, dict, "an object"), f"{self.path}{key}.")

    def text(self, key: str) -> str:
        """Return a text."""
        return self._of_kind(key, str, "text")

    def flag(self, key: str) -> bool:
        """Return True or False."""
        return self._of_kind(key, bool, "true or false")

    def is_null(self, key: str) -> bool:
        """Tell whether there is nothing under a key."""
        return self._value(key) is None

    def whole(self, key: str, lowest: int) -> int:
        """Return an integer of at least `lowest`."""
        value = self._value(key)
        if not _is_whole(value) or value < lowest:
            raise self._error_of(key, value, f"an integer from {lowest} on")
        return int(value)

    def number(self, key: str, missing: float = nan) -> float:
        """Return a number; `missing` stands for null."""
        value = self._value(key)
        if not _is_number_or_null(value):
            raise self._error_of(key, value, "a number or null")
        return missing if value is None else float(value)

    def numbers(self, key: str, missing: float = nan) -> dict[str, float]:
        """Return numbers by name; `missing` stands for null."""
        inside = self.part(key)
        return {name: inside.number(name, missing) for name in inside.content}

    def texts(self, key: str) -> dict[str, str]:
        """Return texts by name."""
        inside = self.part(key)
        return {name: inside.text(name) for name in inside.content}

    def lines(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self._each(key, lambda value: isinstance(value, str), "text"))

    def positions(self, key: str, n_frames: int) -> tuple[int, ...]:
        """Return a list of positions of frames."""
        return tuple(self._each(key, _up_to(n_frames - 1), f"a frame, 0 to {n_frames - 1}"))

    def counts(self, key: str, most: int) -> NDArray[np.int64]:
        """Return a list (n,) of integers from 0 to the most there can be."""
        return np.array(self._each(key, _up_to(most), f"an integer from 0 to {most}"), np.int64)

    def array(self, key: str) -> NDArray[np.float64]:
        """Return a list (n,) of numbers, with NaN for null."""
        return np.array(self._each(key, _is_number_or_null, "a number or null"), np.float64)

    def known_array(self, key: str, above: float = -inf) -> NDArray[np.float64]:
        """Return a list (n,) of numbers above a least one."""
        expected = "a number" + (f" above {above:g}" if isfinite(above) else "")
        return np.array(self._each(key, lambda value: _is_number(value) and value > above, expected), np.float64)

    def image(self, key: str) -> NDArray[np.float64]:
        """Return lists (y, x) of numbers, with NaN for null."""
        rows = self._of_kind(key, list, "an image")
        inside = type(self)({f"[{y}]": row for y, row in enumerate(rows)}, f"{self.path}{key}")
        arrays = [inside.array(row) for row in inside.content]
        for row, values in zip(inside.content, arrays, strict=True):
            if len(values) != len(arrays[0]):
                raise inside._error_of(row, values.tolist(), f"{len(arrays[0])} numbers, as in the first row")
        return np.array(arrays)

    def refusal(self, key: str, expected: str) -> ParameterError:
        """Return the error for a value that is of the right kind, but not what is expected."""
        return self._error_of(key, self._value(key), expected)

    def _each(self, key: str, is_right: Callable[[Any], bool], expected: str) -> list[Any]:
        values = self._of_kind(key, list, "a list")
        for place, value in enumerate(values):
            if not is_right(value):
                raise self._error_of(f"{key}[{place}]", value, expected)
        return values

    def _of_kind(self, key: str, kind: type[T], expected: str) -> T:
        value = self._value(key)
        if not isinstance(value, kind):
            raise self._error_of(key, value, expected)
        return value

    def _value(self, key: str) -> Any:
        if key not in self.content:
            raise ParameterError(f"the estimate has no '{self.path}{key}': write it again with to_json().")
        return self.content[key]

    def _error_of(self, key: str, value: Any, expected: str) -> ParameterError:
        written = json.dumps(value)
        shown = written if len(written) <= SHOWN else f"{written[:SHOWN]}…"
        return ParameterError(
            f"the estimate has {self.path}{key} = {shown}: expected {expected}. Mend it, or write it again with "
            "to_json()."
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _up_to(most: int) -> Callable[[Any], bool]:
    return lambda value: _is_whole(value) and 0 <= value <= most


def _is_number(value: Any) -> bool:
    """Tell whether something is a number that float64 holds; Python takes a bool for one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _is_number_or_null(value: Any) -> bool:
    return value is None or _is_number(value)
