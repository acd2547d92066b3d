"""The metadata of many frames as columns: the values that h5py would give."""

import h5py
import numpy as np
import pytest

from flimage_dask.errors import SeriesError
from flimage_dask.hdf5.attributes import (
    AttributeWriter,
    as_array,
    read_attribute,
    read_column,
    read_columns,
    split_constant,
)

VALUES = {
    "float": 1.5,
    "float32": np.float32(0.1),
    "big-endian": np.array(2.5, ">f8")[()],
    "int": 7,
    "uint8": np.uint8(200),
    "bool": True,
    "text": "Zeiß µm",
    "empty text": "",
    "array": np.array([1.0, 2.0]),
    "texts": ["a", "b"],
}

#: What other programs write, and what they mean by it.
MEANT = {
    "text of fixed length": (np.bytes_("Zeiß".encode()), "Zeiß"),
    "text that is no utf-8": (np.bytes_(b"caf\xe9"), "café"),
    "an array of one text": (np.array(["a"], h5py.string_dtype()), "a"),
    "an array of one text of fixed length": (np.array([b"a"]), "a"),
    "an array of one number": (np.array([[2.5]]), 2.5),
    "nothing": (h5py.Empty("f4"), None),
    "no text": (h5py.Empty("S1"), None),
}


@pytest.fixture
def group():
    """Open a series of three frames in memory."""
    with h5py.File("attributes", "w", driver="core", backing_store=False) as file:
        for number in range(3):
            file.create_group(f"fli_{number}")
        yield file


def assert_same(value, expected):
    """Compare values with their types."""
    assert type(value) is type(expected)
    np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("key", VALUES)
def test_a_value_is_read_as_h5py_reads_it(group, key):
    group["fli_1"].attrs[key] = VALUES[key]

    before, value, after = read_column(group, np.arange(3), key)

    assert before is None
    assert after is None
    assert_same(value, group["fli_1"].attrs[key])


@pytest.mark.parametrize("key", MEANT)
def test_a_value_that_other_programs_wrote_is_read_as_they_meant_it(group, key):
    written, meant = MEANT[key]
    group["fli_1"].attrs[key] = written

    assert read_column(group, np.arange(3), key) == [None, meant, None]
    assert read_columns(group, np.arange(3)) == ({} if meant is None else {key: [None, meant, None]})
    assert read_attribute(group["fli_1"], key) == meant


@pytest.mark.parametrize("text", ["plain", ""])
def test_a_text_in_ascii_is_read_as_h5py_reads_it(group, text):
    group["fli_0"].attrs.create("ascii", text, dtype=h5py.string_dtype("ascii"))

    assert_same(read_column(group, np.array([0]), "ascii")[0], group["fli_0"].attrs["ascii"])


def test_text_in_the_code_of_some_machine_can_be_written_again(group):
    group["fli_0"].attrs["device"] = np.bytes_(b"caf\xe9")
    AttributeWriter().write(group["fli_1"].id, {"device": read_attribute(group["fli_0"], "device")})

    assert group["fli_1"].attrs["device"] == "café"


def test_all_columns_are_read_at_once(group):
    group["fli_0"].attrs["time"] = 0.5
    group["fli_2"].attrs["time"] = 1.5
    group["fli_2"].attrs["device"] = "camera"

    assert read_columns(group, np.array([2, 1, 0])) == {"time": [1.5, None, 0.5], "device": ["camera", None, None]}


def test_a_gap_in_the_series_is_named(group):
    del group["fli_1"]

    with pytest.raises(SeriesError, match="no frame 'fli_1'"):
        read_column(group, np.arange(3), "time")


def test_numbers_become_floats_with_nan_where_missing():
    array = as_array([1, None, np.float32(0.5)])

    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [1, np.nan, 0.5])


def test_other_values_become_objects_even_if_they_are_sequences():
    array = as_array(["a", None, [1, 2]])

    assert array.dtype == object
    assert array.tolist() == ["a", None, [1, 2]]


def test_only_what_all_frames_share_is_constant():
    columns = {
        "device": ["camera", "camera"],
        "time": [0.0, 1.0],
        "focus": [1.0, None],
        "absent": [None, None],
        "equal of another type": [1, 1.0],
        "array": [np.ones(2), np.ones(2)],
        "other array": [np.ones(2), np.zeros(2)],
        "no number": [np.nan, np.nan],
    }

    constant, varying = split_constant(columns)

    assert set(constant) == {"device", "array"}
    assert set(constant) | set(varying) == set(columns)


@pytest.mark.parametrize("key", VALUES)
def test_a_value_is_written_as_h5py_writes_it(group, key):
    group["fli_0"].attrs[key] = VALUES[key]

    AttributeWriter().write(group["fli_1"].id, {key: VALUES[key], "absent": None})

    assert list(group["fli_1"].attrs) == [key]
    ours, expected = group["fli_1"].attrs.get_id(key), group["fli_0"].attrs.get_id(key)
    assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape)
    assert_same(group["fli_1"].attrs[key], group["fli_0"].attrs[key])


def test_what_was_read_is_written_back_unchanged(group):
    for key, value in VALUES.items():
        group["fli_0"].attrs[key] = value

    columns = read_columns(group, np.array([0]))
    AttributeWriter().write(group["fli_1"].id, {key: column[0] for key, column in columns.items()})

    assert set(group["fli_1"].attrs) == set(VALUES)
    for key in VALUES:
        assert_same(group["fli_1"].attrs[key], group["fli_0"].attrs[key])
