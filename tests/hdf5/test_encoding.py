"""How frames are stored: what is encoded here is read by HDF5, and the user has the last word."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flimage_dask.errors import ParameterError
from flimage_dask.hdf5.encoding import FLIMAGE_LIKE, ChunkEncoding, HDF5Encoding, Storage
from flimage_dask.hdf5.filters import DEFLATE, FLETCHER32, SHUFFLE, FilterPipeline
from flimage_dask.hdf5.layout import create_image, store_pixels

DTYPES = ("uint8", "int16", ">i2", "uint32", "int64", "float16", "float32", ">f4", "float64", "longdouble")

images = st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, st.tuples(st.integers(1, 40), st.integers(1, 40))))

COUNTS = (np.random.default_rng(0).poisson(100, (64, 64)) * np.float32(1.0123)).astype(np.float32)
NOISE = np.random.default_rng(1).normal(100, 10, (64, 64)).astype(np.float32)


def stored_and_read(image, encoding):
    """Store an image, and return its dataset's properties and what HDF5 reads."""
    with h5py.File("encoding", "w", driver="core", backing_store=False) as file:
        dataset = create_image(file, "image", image.shape, image.dtype, encoding)
        store_pixels(dataset.id, encoding.encode(image))
        return (dataset.compression, dataset.compression_opts, dataset.shuffle, dataset.fletcher32), dataset[...]


@given(images, st.booleans(), st.none() | st.integers(0, 9))
def test_a_chunk_made_here_is_read_by_hdf5_bit_by_bit(image, shuffle, level):
    properties, read = stored_and_read(image, ChunkEncoding(shuffle, level))

    assert read.tobytes() == image.tobytes()
    assert properties == (None if level is None else "gzip", level, shuffle, True)


@pytest.mark.parametrize("shuffle", [False, True])
def test_lzf_is_left_to_hdf5(shuffle):
    encoding, _ = Storage("lzf", shuffle=shuffle).choose([COUNTS])
    properties, read = stored_and_read(COUNTS, encoding)

    assert isinstance(encoding, HDF5Encoding)
    assert properties == ("lzf", None, shuffle, True)
    assert np.array_equal(read, COUNTS)


def test_a_filter_of_hdf5plugin_is_left_to_hdf5():
    hdf5plugin = pytest.importorskip("hdf5plugin")
    encoding, share = Storage(hdf5plugin.Zstd(clevel=5)).choose([NOISE])
    _, read = stored_and_read(NOISE, encoding)

    assert np.array_equal(read, NOISE)
    assert share < 0.95
    assert encoding.dataset_options == {
        "shuffle": True,
        "compression": hdf5plugin.Zstd.filter_id,
        "compression_opts": (5,),
        "fletcher32": True,
    }


def test_counts_are_stored_unshuffled_and_noisy_floats_shuffled():
    assert not FLIMAGE_LIKE.choose([COUNTS])[0].shuffle
    assert FLIMAGE_LIKE.choose([NOISE])[0].shuffle


def test_the_user_has_the_last_word():
    assert Storage(level=9, shuffle=True).choose([COUNTS])[0] == ChunkEncoding(shuffle=True, level=9)
    assert Storage(None, shuffle=False).choose([COUNTS])[0] == ChunkEncoding(shuffle=False, level=None)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_bool_of_numpy_is_as_good_as_one_of_python(shuffle):
    storage = Storage(level=np.int64(3), shuffle=np.bool_(shuffle))
    encoding, _ = storage.choose([COUNTS])
    assert storage == Storage(level=3, shuffle=shuffle)
    assert json.loads(json.dumps([storage.shuffle, encoding.dataset_options])) == [shuffle, encoding.dataset_options]


@pytest.mark.parametrize("storage", [FLIMAGE_LIKE, Storage(level=9), Storage("lzf"), Storage(None)])
def test_the_expected_share_is_that_of_the_stored_sample(storage):
    encoding, share = storage.choose([COUNTS, COUNTS])

    assert share == encoding.encode(COUNTS).nbytes / COUNTS.nbytes


def test_higher_levels_leave_less():
    sizes = [ChunkEncoding(shuffle=False, level=level).encode(COUNTS).nbytes for level in (0, 1, 2, 6, 9)]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > COUNTS.nbytes


def test_a_frame_that_is_not_contiguous_is_encoded_in_its_own_order():
    frame = np.arange(48, dtype=np.int32).reshape(6, 8)[::2, ::-1]
    stored = ChunkEncoding(shuffle=True).encode(frame).content

    decoded = FilterPipeline((SHUFFLE, DEFLATE, FLETCHER32), 4).decode(stored, frame.nbytes)
    np.testing.assert_array_equal(np.frombuffer(decoded, np.int32).reshape(3, 8), frame)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compression": "zip"}, "give 'gzip', 'lzf', None or a filter"),
        ({"compression": 4}, "compression=4: give 'gzip'"),
        ({"compression": {"shuffle": True}}, "give 'gzip'"),
        ({"compression": {"compression": 299}}, "does not know the filter 299: install hdf5plugin"),
        ({"level": 10}, "an integer from 0"),
        ({"level": 2.5}, "an integer from 0"),
        ({"compression": None, "level": 3}, "goes with compression='gzip' only"),
    ],
)
def test_storage_that_cannot_be_had_is_refused_with_the_way_out(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Storage(**arguments)
