"""Images out of a file: whatever HDF5 can store is read as h5py reads it, or refused."""

import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z
from hypothesis import given, settings
from hypothesis import strategies as st

from flimage_dask.errors import FileChangedError, FileError, FrameDataError
from flimage_dask.hdf5.filters import FilterPipeline
from flimage_dask.hdf5.image_layout import NO_RANGE
from flimage_dask.hdf5.index import index_series
from flimage_dask.hdf5.layout import RAW
from flimage_dask.hdf5.local import LocalFile
from flimage_dask.hdf5.reader import ByteRangeReader, OpenFileReader, open_reader

# --- Ways to store one image as the dataset ``fluorescence/raw`` of a frame.


def low_level(frame, image, set_up):
    """Create and fill a dataset with properties that h5py's `create_dataset` does not offer."""
    properties = h5p.create(h5p.DATASET_CREATE)
    set_up(properties)
    links = h5p.create(h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    dataset = h5d.create(
        frame.id, RAW.encode(), h5t.py_create(image.dtype, True), h5s.create_simple(image.shape), properties, links
    )
    h5py.Dataset(dataset)[...] = image


def chunked(**filters):
    """Store an image in one chunk."""

    def store(frame, image):
        frame.create_dataset(RAW, data=image, chunks=image.shape, **filters)

    return store


def contiguous(frame, image):
    frame[RAW] = image


def compact(frame, image):
    low_level(frame, image, lambda properties: properties.set_layout(h5d.COMPACT))


def allocated_early(frame, image):
    low_level(frame, image, lambda properties: properties.set_alloc_time(h5d.ALLOC_TIME_EARLY))


def several_chunks(frame, image):
    y, x = image.shape
    frame.create_dataset(RAW, data=image, chunks=(max(1, y // 2), x), compression="gzip")


def larger_chunk(frame, image):
    y, x = image.shape
    frame.create_dataset(RAW, data=image, chunks=(y + 1, x), maxshape=(None, None), compression="gzip", fletcher32=True)


def can_grow(frame, image):
    frame.create_dataset(RAW, data=image, chunks=image.shape, maxshape=(None, None), compression="gzip")


def scaleoffset(frame, image):
    """Store integers without loss, and numbers of native floating types with three digits."""
    scalable = image.dtype.kind in "iu" or image.dtype in (np.float32, np.float64)
    options = {"scaleoffset": 3 if image.dtype.kind == "f" else 0} if scalable else {"compression": "lzf"}
    frame.create_dataset(RAW, data=image, chunks=image.shape, **options)


def nbit(frame, image):
    def set_up(properties):
        properties.set_chunk(image.shape)
        properties.set_filter(h5z.FILTER_NBIT)

    low_level(frame, image, set_up)


def never_written(frame, image):
    frame.create_dataset(RAW, shape=image.shape, dtype=image.dtype)


def missing_chunk(frame, image):
    frame.create_dataset(RAW, shape=image.shape, dtype=image.dtype, chunks=image.shape, compression="gzip")


def missing_chunk_with_a_fill_value(frame, image):
    frame.create_dataset(RAW, shape=image.shape, dtype=image.dtype, chunks=image.shape, fillvalue=1)


def skipped_filters(frame, image):
    shape, dtype = image.shape, image.dtype
    dataset = frame.create_dataset(RAW, shape=shape, dtype=dtype, chunks=shape, shuffle=True, compression="gzip")
    dataset.id.write_direct_chunk((0, 0), image.tobytes(), filter_mask=3)


def file_beside(frame):
    """Return the path of a file beside that of a frame."""
    name = f"{Path(frame.file.filename).stem}-{frame.name.strip('/')}"
    folder = Path(frame.file.filename).parent if frame.file.driver == "sec2" else Path(tempfile.mkdtemp())
    return folder / name


def external_storage(frame, image):
    frame.create_dataset(RAW, data=image, external=[(str(file_beside(frame)), 0, image.nbytes)])


def other_file(frame, image):
    """Store an image contiguously in a file of its own."""
    path = file_beside(frame).with_suffix(".h5")
    with h5py.File(path, "w") as file:
        file["image"] = image
    return path


def external_link(frame, image):
    frame[RAW] = h5py.ExternalLink(str(other_file(frame, image)), "/image")


def virtual(frame, image):
    layout = h5py.VirtualLayout(image.shape, image.dtype)
    layout[...] = h5py.VirtualSource(str(other_file(frame, image)), "image", image.shape)
    frame.create_virtual_dataset(RAW, layout)


def soft_link(frame, image):
    frame.create_dataset("elsewhere", data=image, chunks=image.shape, compression="gzip")
    frame[RAW] = h5py.SoftLink(f"{frame.name}/elsewhere")


def hard_link(frame, image):
    frame[RAW] = frame.file.create_dataset(f"other{frame.name}", data=image)


LAYOUTS = {
    store.__name__: store
    for store in (
        contiguous,
        compact,
        allocated_early,
        several_chunks,
        larger_chunk,
        can_grow,
        scaleoffset,
        nbit,
        never_written,
        missing_chunk,
        missing_chunk_with_a_fill_value,
        skipped_filters,
        external_storage,
        external_link,
        virtual,
        soft_link,
        hard_link,
    )
} | {
    "one chunk": chunked(),
    "gzip": chunked(compression="gzip"),
    "shuffle": chunked(shuffle=True),
    "fletcher32": chunked(fletcher32=True),
    "of flimage": chunked(compression="gzip", compression_opts=9, fletcher32=True),
    "all three": chunked(shuffle=True, compression="gzip", fletcher32=True),
    "lzf": chunked(compression="lzf"),
}

if find_spec("hdf5plugin"):
    import hdf5plugin

    LAYOUTS |= {"zstd": chunked(compression=hdf5plugin.Zstd()), "blosc2": chunked(compression=hdf5plugin.Blosc2())}

DTYPES = ["uint8", "int16", ">i2", "uint32", "int64", "float16", "float32", ">f4", "float64", "bool"]

# --- Comparison with h5py.


def expected_images(group, dtype):
    """Read all frames with h5py."""
    return np.stack([group[f"fli_{k}/{RAW}"][...].astype(dtype) for k in range(count(group))])


def count(group):
    return sum(name.startswith("fli_") for name in group)


def index_all(group):
    return index_series(group, np.arange(count(group)))


def read(reader, index, positions=None, region=(slice(None), slice(None))):
    """Read some frames (all by default) into a new array."""
    positions = np.arange(len(index.frames)) if positions is None else np.asarray(positions, np.int64)
    y, x = (len(range(size)[part]) for size, part in zip(index.frames.shape, region, strict=True))
    out = np.empty((len(positions), y, x), index.frames.dtype)
    reader.read(index.frames, positions, out, region)
    return out


def assert_reads_as_h5py(group, positions=None, region=(slice(None), slice(None))):
    index = index_all(group)
    images = expected_images(group, index.frames.dtype)
    chosen = images if positions is None else images[positions]
    assert read(open_reader(group), index, positions, region).tobytes() == chosen[(slice(None), *region)].tobytes()


def write_series(group, stores, image):
    for k, store in enumerate(stores):
        store(group.create_group(f"fli_{k}"), (image + k).astype(image.dtype))


def series_file(path, n_frames=3, store="of flimage", shape=(6, 8), dtype="float32"):
    """Write a series of random frames."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for k in range(n_frames):
            LAYOUTS[store](file.create_group(f"fli_{k}"), rng.uniform(0, 100, shape).astype(dtype))
    return path


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_as_h5py_reads_it(tmp_path, layout, dtype):
    image = np.random.default_rng(0).uniform(0, 100, (16, 16)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_series(file, [LAYOUTS[layout]] * 3, image)
        assert_reads_as_h5py(file)
    with h5py.File(tmp_path / "a.h5") as file:
        assert_reads_as_h5py(file)


FASTEST = ["contiguous", "one chunk", "gzip", "shuffle", "fletcher32", "of flimage", "all three", "skipped_filters"]


@pytest.mark.parametrize("layout", [*FASTEST, "soft_link", "hard_link", "allocated_early", "can_grow"])
def test_one_range_of_bytes_is_read_without_hdf5(tmp_path, layout):
    with h5py.File(series_file(tmp_path / "a.h5", store=layout)) as file:
        assert (index_all(file).frames.offsets != NO_RANGE).all()


@pytest.mark.parametrize("name", ["LZ4", "Bitshuffle"])
def test_the_filters_of_hdf5plugin_are_read_as_h5py_reads_them(tmp_path, name):
    hdf5plugin = pytest.importorskip("hdf5plugin", reason="the filters of hdf5plugin are not installed")
    store = chunked(compression=getattr(hdf5plugin, name)())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_series(file, [store, LAYOUTS["gzip"]], np.arange(256.0).reshape(16, 16))
    with h5py.File(tmp_path / "a.h5") as file:
        assert_reads_as_h5py(file)


@pytest.mark.skipif(not h5z.filter_avail(h5z.FILTER_SZIP), reason="this HDF5 is built without szip")
def test_szip_is_read_as_h5py_reads_it(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_series(file, [chunked(compression="szip")], np.arange(256.0).reshape(16, 16))
        assert_reads_as_h5py(file)


slices = st.builds(
    slice, st.none() | st.integers(-7, 7), st.none() | st.integers(-7, 7), st.sampled_from([None, 1, 3, -2])
)


@settings(max_examples=80)
@given(data=st.data())
def test_any_mixture_of_layouts_is_read_as_h5py_reads_it(data):
    stores = data.draw(st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=1, max_size=5))
    dtypes = data.draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=2))
    shape = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    positions = data.draw(st.none() | st.lists(st.integers(0, len(stores) - 1), max_size=7))
    region = data.draw(st.tuples(slices, slices))
    seed = data.draw(st.integers(0, 9))
    options = data.draw(st.sampled_from([{}, {"userblock_size": 1024}, {"libver": "latest"}]))
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        with h5py.File(path, "w", **options) as file:
            for k, name in enumerate(stores):
                image = rng.uniform(0, 100, shape).astype(dtypes[k % len(dtypes)])
                LAYOUTS[name](file.create_group(f"fli_{k}"), image)
            assert_reads_as_h5py(file, positions, region)
        with h5py.File(path) as file:
            assert_reads_as_h5py(file, positions, region)


@pytest.mark.parametrize("n_before", [512, 4096])
def test_a_file_that_begins_behind_other_bytes_is_read_as_h5py_reads_it(tmp_path, n_before):
    plain = series_file(tmp_path / "a.h5", store="contiguous")
    (tmp_path / "b.h5").write_bytes(bytes(n_before) + plain.read_bytes())

    with h5py.File(tmp_path / "b.h5") as file:
        assert_reads_as_h5py(file)


@pytest.mark.parametrize("layout", ["contiguous", "of flimage"])
def test_a_series_below_a_group_is_read(tmp_path, layout):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_series(file.create_group("day/one"), [LAYOUTS[layout]] * 2, np.ones((3, 4)))
    with h5py.File(tmp_path / "a.h5") as file:
        assert_reads_as_h5py(file["day/one"])


def test_a_group_behind_an_external_link_is_not_read_from_the_bytes_of_this_file(tmp_path):
    series_file(tmp_path / "other.h5", store="contiguous")
    with h5py.File(series_file(tmp_path / "a.h5", store="contiguous"), "a") as file:
        del file["fli_1"]
        file["fli_1"] = h5py.ExternalLink("other.h5", "fli_2")
    with h5py.File(tmp_path / "a.h5") as file:
        assert index_all(file).frames.offsets[1] == NO_RANGE
        assert_reads_as_h5py(file)


def test_many_small_frames_far_apart_are_read_in_little_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for k in range(300):
            LAYOUTS["gzip"](file.create_group(f"fli_{k}"), np.full((3, 3), k))
            file[f"between_{k}"] = np.zeros(40_000, np.uint8)
    with h5py.File(tmp_path / "a.h5") as file:
        assert_reads_as_h5py(file)
        reader, index = open_reader(file), index_all(file)
        tracemalloc.start()
        read(reader, index)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 6 << 20


@pytest.mark.parametrize("driver", ["stdio", "family", "split", "core"])
def test_a_file_behind_another_driver_is_read_through_its_handle(tmp_path, driver):
    path = tmp_path / ("a%d.h5" if driver == "family" else "a.h5")
    with h5py.File(path, "w", driver=driver) as file:
        write_series(file, [LAYOUTS["contiguous"], LAYOUTS["of flimage"]], np.ones((3, 4)))
    with h5py.File(path, "r", driver=driver) as file:
        assert isinstance(open_reader(file), OpenFileReader)
        assert_reads_as_h5py(file)


# --- Files that are being written.


@pytest.mark.parametrize(
    "layout", ["contiguous", "compact", "one chunk", "of flimage", "several_chunks", "never_written"]
)
def test_what_was_written_but_not_flushed_is_read(tmp_path, layout):
    with h5py.File(series_file(tmp_path / "a.h5", store=layout), "r+") as file:
        index = index_all(file)
        reader = open_reader(file)
        file[f"fli_1/{RAW}"][...] = 7
        images = read(reader, index)
        np.testing.assert_array_equal(images[1], 7)
        np.testing.assert_array_equal(images, expected_images(file, np.float32))


def test_an_image_of_another_shape_since_it_was_indexed_is_refused(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5"), "r+") as file:
        index, reader = index_all(file), open_reader(file)
        del file[f"fli_1/{RAW}"]
        LAYOUTS["of flimage"](file["fli_1"], np.ones((8, 6), np.float32))
        with pytest.raises(FileChangedError, match="fli_1/fluorescence/raw"):
            read(reader, index)


@pytest.mark.parametrize("layout", ["shuffle", "all three", "several_chunks", "contiguous", "lzf", "gzip"])
def test_an_image_that_is_stored_in_another_way_since_it_was_indexed_is_read_as_h5py_reads_it(tmp_path, layout):
    with h5py.File(series_file(tmp_path / "a.h5"), "r+") as file:
        index, reader = index_all(file), open_reader(file)
        del file[f"fli_1/{RAW}"]
        LAYOUTS[layout](file["fli_1"], np.arange(48, dtype=np.float32).reshape(6, 8))
        assert np.array_equal(read(reader, index), expected_images(file, np.float32))


def test_a_series_that_was_closed_after_writing_is_read_from_its_file(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5"), "r+") as file:
        reader, index = open_reader(file), index_all(file)
        expected = expected_images(file, np.float32)
        LAYOUTS["of flimage"](file.create_group("fli_3"), np.ones((6, 8)))

    np.testing.assert_array_equal(read(reader, index), expected)


def test_a_mixed_series_that_was_closed_after_writing_is_read_in_its_common_type(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_series(file, [LAYOUTS["gzip"]], np.ones((3, 4), np.uint8))
        LAYOUTS["gzip"](file.create_group("fli_1"), np.full((3, 4), 0.5))
        reader, index = open_reader(file), index_all(file)

    np.testing.assert_array_equal(read(reader, index, [0]), np.ones((1, 3, 4)))


def test_a_file_that_replaced_a_closed_one_is_refused(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5"), "r+") as file:
        reader, index = open_reader(file), index_all(file)
    series_file(tmp_path / "b.h5").replace(tmp_path / "a.h5")

    with pytest.raises(FileChangedError, match="replaced"):
        read(reader, index)


def test_a_closed_series_in_memory_says_so():
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        write_series(file, [contiguous], np.ones((3, 4)))
        reader, index = open_reader(file), index_all(file)

    with pytest.raises(FileError, match="in-memory series behind this array was closed"):
        read(reader, index)


# --- Readers in graphs that are pickled.


def test_a_reader_of_a_file_travels_to_another_process(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5")) as file:
        task = tmp_path / "task"
        task.write_bytes(pickle.dumps((open_reader(file), index_all(file).frames)))
        expected = expected_images(file, np.float32)

    np.testing.assert_array_equal(read_elsewhere(task), expected)


def test_another_process_reads_what_had_not_been_flushed_when_the_reader_was_made(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_series(file, [LAYOUTS["contiguous"], LAYOUTS["gzip"]], np.ones((3, 4)))
        reader, index = open_reader(file), index_all(file)
        (tmp_path / "task").write_bytes(pickle.dumps((reader, index.frames)))

        np.testing.assert_array_equal(read_elsewhere(tmp_path / "task"), expected_images(file, np.float64))


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_reader_of_a_file_open_for_writing_travels_to_another_process(tmp_path, is_closed):
    with h5py.File(series_file(tmp_path / "a.h5"), "r+") as file:
        reader, index = open_reader(file), index_all(file)
        expected = expected_images(file, np.float32)
        if is_closed:
            file.close()
        (tmp_path / "task").write_bytes(pickle.dumps((reader, index.frames)))

        np.testing.assert_array_equal(read_elsewhere(tmp_path / "task"), expected)


def test_another_process_refuses_a_file_that_was_written_to_since_it_was_indexed(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5"), "r+") as file:
        reader, index = open_reader(file), index_all(file)
        unflushed = file[f"fli_0/{RAW}"]
        unflushed[...] = 7
        travelled = reader.__reduce__()[1][1]  # what another process makes of it

        assert isinstance(travelled, ByteRangeReader)
        with pytest.raises(FileChangedError, match="changed after its frames were indexed"):
            read(travelled, index)


def test_a_reader_that_is_pickled_in_its_own_process_finds_its_open_file():
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        write_series(file, [contiguous] * 2, np.ones((3, 4)))
        reader = open_reader(file)

        assert pickle.loads(pickle.dumps(reader)) is reader


def test_a_series_in_memory_cannot_travel_to_another_process(tmp_path):
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        write_series(file, [contiguous], np.ones((3, 4)))
        (tmp_path / "task").write_bytes(pickle.dumps((open_reader(file), index_all(file).frames)))

    with pytest.raises(subprocess.CalledProcessError) as failure:
        read_elsewhere(tmp_path / "task")

    assert "a series in memory cannot be read from another process" in failure.value.stderr


def read_elsewhere(task):
    """Read all images of a pickled (reader, index) in another process."""
    code = """
        import pickle, sys, numpy as np
        reader, index = pickle.load(open(sys.argv[1], "rb"))
        out = np.empty((len(index), *index.shape), index.dtype)
        reader.read(index, np.arange(len(index)), out)
        np.save(sys.argv[1] + ".npy", out)
    """
    run_python(code, task)
    return np.load(f"{task}.npy")


def run_python(code, path):
    """Run code with a path as its argument in another process."""
    command = [sys.executable, "-c", textwrap.dedent(code), path]
    subprocess.run(command, check=True, capture_output=True, text=True)


def test_threads_read_the_same_series_at_once(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5", n_frames=20), "r+") as file:
        reader, index = open_reader(file), index_all(file)
        expected = expected_images(file, np.float32)
        together = Barrier(4)

        def task(_):
            together.wait()
            return read(reader, index)

        with ThreadPoolExecutor(4) as threads:
            for images in threads.map(task, range(4)):
                np.testing.assert_array_equal(images, expected)


# --- Files that changed, and damage.


def test_a_file_that_changed_after_indexing_is_refused(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5")) as file:
        reader, index = open_reader(file), index_all(file)
    os.utime(tmp_path / "a.h5", ns=(0, 0))

    with pytest.raises(FileChangedError, match="open the series again"):
        read(reader, index)


def test_a_file_that_was_replaced_while_open_is_refused(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5")) as file:
        series_file(tmp_path / "b.h5", store="contiguous").replace(tmp_path / "a.h5")

        with pytest.raises(FileChangedError, match="was replaced while its series was open"):
            open_reader(file)


def test_a_file_that_was_removed_is_named(tmp_path):
    with h5py.File(series_file(tmp_path / "a.h5")) as file:
        reader, index = open_reader(file), index_all(file)
        (tmp_path / "a.h5").unlink()

        with pytest.raises(FileError, match=r"a\.h5"):
            read(reader, index)
        with pytest.raises(FileChangedError, match="is gone"):
            open_reader(file)


@pytest.mark.parametrize("link", ["symlink", "relative"])
def test_a_file_opened_through_another_name_is_read_wherever_the_reader_goes(tmp_path, monkeypatch, link):
    series_file(tmp_path / "a.h5")
    monkeypatch.chdir(tmp_path)
    if link == "symlink":
        Path("link.h5").symlink_to("a.h5")
    with h5py.File("link.h5" if link == "symlink" else "a.h5") as file:
        reader, index = open_reader(file), index_all(file)
        expected = expected_images(file, np.float32)
    monkeypatch.chdir("/")

    np.testing.assert_array_equal(read(reader, index), expected)


def reader_in_spite_of_changes(path):
    """Return a reader and an index as if the file had been indexed as it is now."""
    with h5py.File(path) as file:
        index = index_all(file)
    return lambda: ByteRangeReader(LocalFile.at(path.resolve()), "/"), index


@pytest.mark.parametrize("layout", ["contiguous", "of flimage", "gzip"])
def test_a_truncated_file_names_the_frame_the_file_and_the_offset(tmp_path, layout):
    path = series_file(tmp_path / "a.h5", store=layout)
    make_reader, index = reader_in_spite_of_changes(path)
    offset = int(index.frames.offsets[2])
    os.truncate(path, offset + 20)

    with pytest.raises(FrameDataError, match=f"frame 2 of '{path}' .'fli_2/fluorescence/raw', at byte {offset}."):
        read(make_reader(), index)
    assert read(make_reader(), index, [0, 1]).shape == (2, 6, 8)


def flip_bit(path, offset, bit=0):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("layout", ["of flimage", "fletcher32", "several_chunks", "lzf"])
def test_damage_is_noticed_wherever_hdf5_notices_it(tmp_path, layout, mode):
    path = series_file(tmp_path / "a.h5", store=layout)
    with h5py.File(path) as file:
        chunk = file[f"fli_1/{RAW}"].id.get_chunk_info(0)
    flip_bit(path, chunk.byte_offset + chunk.size // 2)
    with h5py.File(path, mode) as file:
        reader, index = open_reader(file), index_all(file)
        try:
            expected = expected_images(file, np.float32)
        except OSError:
            with pytest.raises(FrameDataError, match="frame 1 of"):
                read(reader, index)
        else:
            np.testing.assert_array_equal(read(reader, index), expected)


def test_a_wrong_checksum_is_named(tmp_path):
    path = series_file(tmp_path / "a.h5")
    make_reader, index = reader_in_spite_of_changes(path)
    offset = int(index.frames.offsets[1])
    flip_bit(path, offset + 30)

    with pytest.raises(FrameDataError, match=rf"frame 1 of '{path}' .*byte {offset}. is damaged: has a wrong checksum"):
        read(make_reader(), index)


def file_with_stored_bytes(path, image, stored):
    """Write a series of one deflated frame whose chunk holds some bytes."""
    with h5py.File(path, "w") as file:
        shape = image.shape
        dataset = file.create_dataset(f"fli_0/{RAW}", shape, image.dtype, chunks=shape, compression="gzip")
        dataset.id.write_direct_chunk((0, 0), stored)


IMAGE = np.arange(48, dtype=np.float32).reshape(6, 8)
WRONG_CHUNKS = {
    "cut": zlib.compress(IMAGE.tobytes())[:-6],
    "without its checksum": zlib.compress(IMAGE.tobytes())[:-4],
    "too much": zlib.compress(IMAGE.tobytes() + b"more"),
    "too little": zlib.compress(IMAGE.tobytes()[:-4]),
    "nothing": zlib.compress(b""),
    "a bomb": zlib.compress(bytes(100_000_000)),
    "not deflated": IMAGE.tobytes(),
}


@pytest.mark.parametrize("mode", ["r", "r+"])
@pytest.mark.parametrize("kind", WRONG_CHUNKS)
def test_a_chunk_that_is_not_deflated_from_an_image_names_frame_file_and_offset(tmp_path, kind, mode):
    path = tmp_path / "a.h5"
    file_with_stored_bytes(path, IMAGE, WRONG_CHUNKS[kind])
    with h5py.File(path, mode) as file:
        reader, index = open_reader(file), index_all(file)
        offset = index.frames.offsets[0]
        tracemalloc.start()
        with pytest.raises(FrameDataError, match=f"frame 0 of '{path}' .*at byte {offset}. is damaged"):
            read(reader, index)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 1 << 20


def test_bytes_behind_a_whole_chunk_are_ignored_as_hdf5_does(tmp_path):
    file_with_stored_bytes(tmp_path / "a.h5", IMAGE, zlib.compress(IMAGE.tobytes()) + b"more")
    with h5py.File(tmp_path / "a.h5") as file:
        assert_reads_as_h5py(file)


@pytest.mark.parametrize(("offset", "size"), [(10**9, 200), (1000, 10**12)])
def test_a_range_past_the_end_of_the_file_names_frame_file_and_offset(tmp_path, offset, size):
    path = series_file(tmp_path / "a.h5")
    with h5py.File(path) as file:
        reader, index = open_reader(file), index_all(file)
    frames = replace(index.frames, offsets=np.full(3, offset), sizes=np.full(3, size))

    with pytest.raises(FrameDataError, match=f"frame 0 of '{path}' .*at byte {offset}. is damaged"):
        read(reader, replace(index, frames=frames))


DAMAGED = ["contiguous", "gzip", "shuffle", "fletcher32", "of flimage", "all three", "several_chunks", "lzf"]


@settings(max_examples=150)
@given(layout=st.sampled_from(DAMAGED), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_read_where_h5py_refuses_it(layout, place, bit):
    with tempfile.TemporaryDirectory() as folder:
        path = series_file(Path(folder) / "a.h5", n_frames=1, store=layout)
        with h5py.File(path) as file:
            dataset = file[f"fli_0/{RAW}"]
            chunk = dataset.id.get_chunk_info(0) if dataset.chunks else None
            offset, size = (chunk.byte_offset, chunk.size) if chunk else (dataset.id.get_offset(), dataset.nbytes)
        flip_bit(path, offset + int(place * size), bit)
        with h5py.File(path) as file:
            reader, index = open_reader(file), index_all(file)
            try:
                expected = expected_images(file, np.float32)
            except OSError:
                with pytest.raises(FrameDataError, match="frame 0 of"):
                    read(reader, index)
            else:
                assert read(reader, index).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("code", "values"), [(h5z.FILTER_DEFLATE, (77,)), (h5z.FILTER_SHUFFLE, (2,))])
def test_filters_with_parameters_of_their_own_are_left_to_hdf5(tmp_path, code, values):
    def set_up(properties):
        properties.set_chunk(IMAGE.shape)
        properties.set_deflate(9) if code == h5z.FILTER_DEFLATE else properties.set_shuffle()

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        low_level(file.create_group("fli_0"), IMAGE, set_up)
    # The parameter is the only number of its value that follows the name of the filter.
    content = path.read_bytes()
    name = b"deflate\0" if code == h5z.FILTER_DEFLATE else b"shuffle\0"
    at = content.index(name) + len(name)
    path.write_bytes(content[:at] + values[0].to_bytes(4, "little") + content[at + 4 :])
    with h5py.File(path) as file:
        reader, index = open_reader(file), index_all(file)
        assert (index.frames.offsets == NO_RANGE).all()
        try:
            expected = expected_images(file, np.float32)
        except OSError:
            with pytest.raises(FrameDataError, match="frame 0 of"):
                read(reader, index)
        else:
            np.testing.assert_array_equal(read(reader, index), expected)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = series_file(tmp_path / "a.h5")
    with h5py.File(path) as file:
        reader, index = open_reader(file), index_all(file)
    decode = FilterPipeline.decode

    def decode_and_change(self, *args):
        os.utime(path, ns=(0, 0))
        return decode(self, *args)

    monkeypatch.setattr(FilterPipeline, "decode", decode_and_change)
    with pytest.raises(FileChangedError, match=f"'{path}' changed"):
        read(reader, index)


@pytest.fixture(scope="module")
def zstd_path(tmp_path_factory):
    """Return a series that needs a filter of hdf5plugin, which this process may not have loaded."""
    pytest.importorskip("hdf5plugin", reason="the filters of hdf5plugin are not installed")
    code = """
        import sys, h5py, hdf5plugin, numpy as np
        with h5py.File(sys.argv[1], "w") as file:
            file.create_dataset("fli_0/fluorescence/raw", data=np.ones((4, 4)), compression=hdf5plugin.Zstd())
            file["fli_0/fluorescence"].create_group("bg_data")
            layout = h5py.VirtualLayout((4, 4), float)
            layout[...] = h5py.VirtualSource(file["fli_0/fluorescence/raw"])
            file.create_virtual_dataset("fli_1/fluorescence/raw", layout)
    """
    path = tmp_path_factory.mktemp("zstd") / "a.h5"
    run_python(code, path)
    return path


@pytest.mark.parametrize(
    ("mode", "read_ones"),
    [("a", "fls.raw_fl[0].compute()"), ("r", "fls.raw_fl[1].compute()"), ("r", "fls[0].raw_fl")],
)
def test_the_filters_of_hdf5plugin_are_loaded_where_they_are_needed(zstd_path, mode, read_ones):
    code = f"""
        import sys
        from flimage_dask import FLSeries
        with FLSeries(h5file=sys.argv[1], h5mode="{mode}") as fls:
            assert ({read_ones} == 1).all()
    """
    run_python(code, zstd_path)


def test_a_filter_that_is_not_installed_is_named(zstd_path):
    code = """
        import sys
        sys.modules["hdf5plugin"] = None
        from flimage_dask import FLSeries
        from flimage_dask.errors import FrameDataError
        with FLSeries(h5file=sys.argv[1], h5mode="r") as fls:
            for read in (fls.raw_fl[0].compute, lambda: fls[0].raw_fl):
                try:
                    read()
                except FrameDataError as error:
                    assert sys.argv[1] in str(error)
                    assert "HDF5 does not know the filter 32015" in str(error)
                    assert "hdf5plugin" in str(error)
                else:
                    raise AssertionError("was read")
    """
    run_python(code, zstd_path)
