"""The filter pipeline on bytes: what HDF5 codes is decoded here, and the other way round."""

import tracemalloc
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flimage_dask.hdf5.encoding import ChunkEncoding
from flimage_dask.hdf5.filters import (
    DEFLATE,
    FLETCHER32,
    SHUFFLE,
    DamagedChunkError,
    FilterPipeline,
    fletcher32,
)

DTYPES = ("uint8", "int16", ">i2", "uint32", "int64", "float16", "float32", ">f4", "float64")

images = st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, st.tuples(st.integers(1, 40), st.integers(1, 40))))


def hdf5_file():
    """Open an HDF5 file in memory."""
    return h5py.File("filters", "w", driver="core", backing_store=False)


def chunked(file, image, **filters):
    """Create the dataset of one image in one chunk."""
    return file.create_dataset("image", shape=image.shape, dtype=image.dtype, chunks=image.shape, **filters)


def codes_of(dataset):
    """Return HDF5's numbers of the filters of a dataset."""
    properties = dataset.id.get_create_plist()
    return tuple(properties.get_filter(k)[0] for k in range(properties.get_nfilters()))


def checksum_of_hdf5(octets):
    """Let HDF5 store bytes with a checksum, and return it."""
    with hdf5_file() as file:
        dataset = file.create_dataset("image", data=octets, chunks=octets.shape, fletcher32=True)
        return int.from_bytes(dataset.id.read_direct_chunk((0,))[1][-4:], "little")


def checked(content):
    """Append the checksum of some bytes to them."""
    return content + fletcher32(content).to_bytes(4, "little")


@given(images, st.booleans(), st.sampled_from([None, 1, 9]), st.booleans())
def test_what_hdf5_stores_is_decoded_bit_by_bit(image, shuffle, level, checksum):
    gzip = {} if level is None else {"compression": "gzip", "compression_opts": level}
    with hdf5_file() as file:
        dataset = chunked(file, image, shuffle=shuffle, fletcher32=checksum, **gzip)
        dataset[...] = image
        skipped, stored = dataset.id.read_direct_chunk((0, 0))
        pipeline = FilterPipeline(codes_of(dataset), image.dtype.itemsize)

    assert bytes(pipeline.decode(stored, image.nbytes, skipped)) == image.tobytes()


@given(st.integers(1, 1100) | st.integers(16_000, 300_000), st.integers(0, 255), st.integers(0, 9))
def test_the_checksum_is_that_of_hdf5_for_any_number_of_bytes(n_bytes, largest, seed):
    octets = np.random.default_rng(seed).integers(0, largest + 1, n_bytes, np.uint8)

    assert fletcher32(octets.tobytes()) == checksum_of_hdf5(octets)


@pytest.mark.parametrize("n_words", [1 << 15, 1 << 16, 1 << 17, 1 << 20, 3 << 19])
@pytest.mark.parametrize("more", [-1, 0, 1, 2])
def test_the_checksum_is_that_of_hdf5_where_its_pieces_end(n_words, more):
    octets = np.random.default_rng(0).integers(0, 256, 2 * n_words + more, np.uint8)

    assert fletcher32(octets.tobytes()) == checksum_of_hdf5(octets)


def test_the_checksum_of_nothing_is_zero():
    assert fletcher32(b"") == 0


def test_the_checksum_of_words_that_add_up_to_the_modulus_is_not_zero():
    assert fletcher32(b"\xff\xff" * 100_003) == 0xFFFFFFFF


def test_a_checksum_with_swapped_bytes_as_old_hdf5_wrote_it_is_accepted():
    content = bytes(range(256))
    swapped = np.frombuffer(checked(content)[-4:], np.uint16).byteswap().tobytes()

    assert bytes(FilterPipeline((FLETCHER32,), 1).decode(content + swapped, 256)) == content


def test_a_filter_that_was_skipped_for_a_chunk_is_not_undone():
    image = np.arange(60, dtype=np.uint16)
    shuffle_skipped, deflate_skipped, checksum_skipped = 1, 2, 4
    pipeline = FilterPipeline((SHUFFLE, DEFLATE, FLETCHER32), 2)

    stored = checked(zlib.compress(image.tobytes()))
    assert bytes(pipeline.decode(stored, 120, shuffle_skipped)) == image.tobytes()
    stored = checked(image.tobytes())
    assert bytes(pipeline.decode(stored, 120, shuffle_skipped | deflate_skipped)) == image.tobytes()
    everything = shuffle_skipped | deflate_skipped | checksum_skipped
    assert bytes(pipeline.decode(image.tobytes(), 120, everything)) == image.tobytes()


def test_a_checksum_before_deflate_is_decoded_too():
    image = bytes(range(100))
    pipeline = FilterPipeline((FLETCHER32, DEFLATE), 1)

    assert bytes(pipeline.decode(zlib.compress(checked(image)), 100)) == image


def test_one_flipped_bit_is_noticed():
    stored = bytearray(ChunkEncoding(shuffle=True).encode(np.arange(100.0)).content)
    stored[len(stored) // 2] ^= 1

    with pytest.raises(DamagedChunkError, match="wrong checksum"):
        FilterPipeline((SHUFFLE, DEFLATE, FLETCHER32), 8).decode(stored, 800)


@pytest.mark.parametrize("n_kept", [0, 1, 3, 20, -1, -5])
def test_a_deflate_stream_that_ends_early_is_refused(n_kept):
    stored = zlib.compress(np.random.default_rng(0).bytes(100))[:n_kept]

    with pytest.raises(DamagedChunkError, match="does not inflate"):
        FilterPipeline((DEFLATE,), 1).decode(stored, 100)


def test_a_chunk_that_inflates_to_too_much_is_refused_without_the_memory_for_it():
    bomb = zlib.compress(bytes(64 << 20))

    tracemalloc.start()
    try:
        with pytest.raises(DamagedChunkError, match="does not inflate to 100 bytes"):
            FilterPipeline((DEFLATE,), 1).decode(bomb, 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.parametrize("codes", [(DEFLATE,), (SHUFFLE, DEFLATE)])
def test_a_chunk_that_inflates_to_too_little_is_refused(codes):
    with pytest.raises(DamagedChunkError, match="99 bytes instead of 100"):
        FilterPipeline(codes, 4).decode(zlib.compress(bytes(99)), 100)


@pytest.mark.parametrize("n_bytes", [0, 3])
def test_a_chunk_shorter_than_its_checksum_is_refused(n_bytes):
    with pytest.raises(DamagedChunkError, match="too short"):
        FilterPipeline((FLETCHER32,), 1).decode(bytes(n_bytes), 100)


@pytest.mark.parametrize("n_bytes", [99, 101])
def test_a_chunk_without_filters_must_have_the_size_of_the_image(n_bytes):
    with pytest.raises(DamagedChunkError, match=f"{n_bytes} bytes instead of 100"):
        FilterPipeline((), 1).decode(bytes(n_bytes), 100)


def test_only_known_filters_can_be_decoded():
    lzf = 32000

    assert FilterPipeline.can_decode(())
    assert FilterPipeline.can_decode((SHUFFLE, DEFLATE, FLETCHER32))
    assert not FilterPipeline.can_decode((SHUFFLE, lzf))
