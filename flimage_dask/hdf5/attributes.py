"""The metadata of many frames at once, as columns, through HDF5's low-level interface.

h5py's ``group.attrs`` makes several Python objects for every value. A column of 100,000
times is read here at some 15 µs each.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import h5py
import numpy as np
from h5py import h5a, h5g, h5s, h5t
from numpy.typing import NDArray

from .files import noticing_damage
from .layout import IDENTIFIER, frame_name, unopened_error

#: One value a frame; None where a frame has none.
Column: TypeAlias = list[Any]
Columns: TypeAlias = dict[str, Column]

_NAME = IDENTIFIER.encode()
_TEXT = h5py.string_dtype()
_TEXT_IN_MEMORY = h5t.py_create(_TEXT)


def read_column(group: h5py.Group, numbers: NDArray[np.int64], key: str) -> Column:
    """Read one attribute of the frames of a series."""
    name = key.encode()
    with noticing_damage(group):
        return [_read_if_there(frame, name) for frame in _open_frames(group, numbers)]


def read_attribute(group: h5py.Group, key: str) -> Any:
    """Read one attribute of a group; None if it has none."""
    with noticing_damage(group):
        return _read_if_there(group.id, key.encode())


def read_columns(group: h5py.Group, numbers: NDArray[np.int64]) -> Columns:
    """Read all attributes of the frames of a series."""
    with noticing_damage(group):
        return _read_columns(group, numbers)


def _read_columns(group: h5py.Group, numbers: NDArray[np.int64]) -> Columns:
    columns: Columns = {}
    texts: dict[str, str] = {}
    for row, frame in enumerate(_open_frames(group, numbers)):
        for position in range(h5a.get_num_attrs(frame)):
            attribute = h5a.open(frame, index=position)
            key = attribute.name
            value = _read_value(frame, key, attribute)
            if value is None:
                continue
            column = columns.setdefault(key.decode(), [None] * len(numbers))
            # Text that many frames share is one object: a version, a device.
            column[row] = texts.setdefault(value, value) if isinstance(value, str) else value
    return columns


def as_array(column: Column) -> NDArray[Any]:
    """Turn a column into an array: float64 (NaN for a missing value) if it is numeric, else objects."""
    if all(value is None or isinstance(value, (int, float, np.number)) for value in column):
        return np.array([np.nan if value is None else float(value) for value in column])
    array = np.empty(len(column), object)
    array[:] = column
    return array


def split_constant(columns: Mapping[str, Column]) -> tuple[dict[str, Any], Columns]:
    """Separate the values that all frames share from the columns that vary."""
    constant = {key: column[0] for key, column in columns.items() if column and _is_constant(column)}
    varying = {key: column for key, column in columns.items() if key not in constant}
    return constant, varying


class AttributeWriter:
    """Set attributes of frames whose HDF5 types are made once."""

    def __init__(self) -> None:
        self._scalar = h5s.create(h5s.SCALAR)
        self._text = h5t.py_create(_TEXT, logical=True)

    def write(self, group: h5g.GroupID, attributes: Mapping[str, Any]) -> None:
        """Set new attributes of a group; a value None is left out."""
        for key, value in attributes.items():
            if value is None:
                continue
            if isinstance(value, float):
                attribute = h5a.create(group, key.encode(), h5t.NATIVE_DOUBLE, self._scalar)
                attribute.write(np.array(value))
            elif isinstance(value, str):
                attribute = h5a.create(group, key.encode(), self._text, self._scalar)
                attribute.write(np.array(value, _TEXT), mtype=_TEXT_IN_MEMORY)
            else:
                h5py.Group(group).attrs[key] = value


def _open_frames(group: h5py.Group, numbers: NDArray[np.int64]) -> Iterable[h5g.GroupID]:
    for number in numbers.tolist():
        try:
            yield h5g.open(group.id, frame_name(number).encode())
        except (KeyError, RuntimeError, ValueError) as error:
            raise unopened_error(group, number, error) from error


def _read_if_there(group: h5g.GroupID, key: bytes) -> Any:
    return _read_value(group, key, h5a.open(group, key)) if h5a.exists(group, key) else None


def _read_value(frame: h5g.GroupID, key: bytes, attribute: h5a.AttrID) -> Any:
    """Read one attribute as h5py would, in a tenth of the time for scalars; see `_plain` for where it differs."""
    stored = attribute.get_type()
    if attribute.get_space().get_simple_extent_type() == h5s.SCALAR:
        if stored.equal(h5t.NATIVE_DOUBLE):
            double = np.empty(())
            attribute.read(double, mtype=h5t.NATIVE_DOUBLE)
            return double[()]
        if isinstance(stored, h5t.TypeStringID) and stored.is_variable_str():
            text: NDArray[Any] = np.empty((), _TEXT)
            attribute.read(text, mtype=_TEXT_IN_MEMORY)
            return _decoded(text.item())
        if isinstance(stored, (h5t.TypeFloatID, h5t.TypeIntegerID)):
            number = np.empty((), attribute.dtype)
            attribute.read(number)
            return number[()]
    value = _plain(h5py.Group(frame).attrs[key.decode()])
    return str(value) if key == _NAME and isinstance(value, np.ndarray) else value


def _plain(value: Any) -> Any:
    """Return text as str, what an array of one element holds, and None for nothing, as other programs mean them."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    if isinstance(value, bytes):
        return _decoded(value)
    return None if isinstance(value, h5py.Empty) else value


def _decoded(text: bytes) -> str:
    """Return text that may be written again, though some programs write in the code of their machine."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _is_constant(column: Column) -> bool:
    first = column[0]
    if isinstance(first, np.ndarray):
        return all(isinstance(value, np.ndarray) and np.array_equal(value, first) for value in column)
    return first is not None and all(type(value) is type(first) and value == first for value in column)
