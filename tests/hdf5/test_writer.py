"""Frames into a file: whole, in order, and readable by every HDF5 program."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
import pytest

from flimage_dask.errors import FileError, ParameterError
from flimage_dask.hdf5.layout import BACKGROUNDS, PICTURE_ATTRIBUTES, RAW, VERSION_ATTRIBUTES
from flimage_dask.hdf5.writer import SeriesWriter

SHAPE = (5, 7)
FRAMES = np.random.default_rng(0).normal(100, 10, (12, *SHAPE)).astype(np.float32)


@pytest.fixture(params=["disk", "memory"])
def group(request, tmp_path):
    """Open an empty file on disk or in memory."""
    in_memory = {"driver": "core", "backing_store": False} if request.param == "memory" else {}
    with h5py.File(tmp_path / "out.h5", "w", **in_memory) as file:
        yield file


def open_writer(group, dtype="float32", columns=None, n_frames=12, on_stored=None, **options):
    return SeriesWriter(
        group,
        frame_shape=SHAPE,
        dtype=np.dtype(dtype),
        columns=columns or {},
        n_frames=n_frames,
        on_stored=on_stored or (lambda n: None),
        **options,
    )


def stored_frames(group):
    return np.stack([group[f"fli_{k}/{RAW}"][...] for k in range(len(group))])


def test_blocks_in_order_become_a_series(group):
    with open_writer(group) as writer:
        for first in range(0, 12, 4):
            writer.write(first, FRAMES[first : first + 4])

    assert writer.n_stored == 12
    np.testing.assert_array_equal(stored_frames(group), FRAMES)


@pytest.mark.parametrize("order", list(permutations([0, 5, 9])), ids=str)
def test_blocks_in_any_order_give_the_same_frames_in_the_same_order(tmp_path, order):
    stops = {0: 5, 5: 9, 9: 12}
    with h5py.File(tmp_path / "out.h5", "w") as file:
        with open_writer(file) as writer:
            for first in order:
                writer.write(first, FRAMES[first : stops[first]])
        np.testing.assert_array_equal(stored_frames(file), FRAMES)
        offsets = [file[f"fli_{k}/{RAW}"].id.get_chunk_info(0).byte_offset for k in range(12)]

    assert offsets == sorted(offsets)


def test_the_same_blocks_give_the_same_bytes_whatever_their_order(tmp_path):
    for name, order in (("a.h5", [0, 4, 8]), ("b.h5", [8, 4, 0])):
        with h5py.File(tmp_path / name, "w") as file, open_writer(file, columns={"time": list(range(12))}) as writer:
            for first in order:
                writer.write(first, FRAMES[first : first + 4])

    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_block_that_is_written_again_changes_nothing(group):
    with open_writer(group) as writer:
        writer.write(0, FRAMES[:6])
        writer.write(0, FRAMES[:6])
        writer.write(6, FRAMES[6:])
        writer.write(0, FRAMES[:6])

    assert writer.n_stored == 12
    np.testing.assert_array_equal(stored_frames(group), FRAMES)


def test_a_block_without_frames_does_not_stand_for_the_one_that_begins_there(group):
    with open_writer(group) as writer:
        writer.write(0, FRAMES[:0])
        writer.write(0, FRAMES)

    assert writer.n_stored == 12


def test_threads_write_at_once(group):
    frames = np.random.default_rng(1).normal(size=(200, *SHAPE)).astype(np.float32)
    stored = []
    with open_writer(group, n_frames=200, on_stored=stored.append) as writer, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda first: writer.write(first, frames[first : first + 4]), reversed(range(0, 200, 4))))

    assert writer.n_stored == sum(stored) == 200
    np.testing.assert_array_equal(stored_frames(group), frames)


def test_blocks_that_wait_too_long_are_stored_out_of_order(tmp_path):
    with h5py.File(tmp_path / "out.h5", "w") as file:
        with open_writer(file, most_waiting_bytes=3 * FRAMES[0].nbytes) as writer:
            for first in (8, 4):
                writer.write(first, FRAMES[first : first + 4])
            assert writer.n_stored > 0
            writer.write(0, FRAMES[:4])
        assert writer.n_stored == 12
        np.testing.assert_array_equal(stored_frames(file), FRAMES)


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "uint64", "float16", "float32", ">f4", "float64", "bool"])
def test_frames_of_each_type_are_read_back_bit_by_bit(group, dtype):
    frames = (np.abs(FRAMES) % 2 > 1 if dtype == "bool" else np.abs(FRAMES)).astype(dtype)
    with open_writer(group, dtype) as writer:
        writer.write(0, frames)

    read = stored_frames(group)
    assert group[f"fli_0/{RAW}"].dtype == np.dtype(dtype)
    assert read.tobytes() == frames.astype(read.dtype).tobytes()


def test_frames_are_converted_to_the_type_of_the_output(group):
    with open_writer(group, "float64") as writer:
        writer.write(0, np.asfortranarray(FRAMES)[:, ::-1])

    np.testing.assert_array_equal(stored_frames(group), FRAMES[:, ::-1].astype(float))


def test_special_values_of_floats_survive(group):
    frames = np.full((1, *SHAPE), np.nan, np.float32)
    frames[0, 0, :3] = np.inf, -np.inf, -0.0
    with open_writer(group, n_frames=1) as writer:
        writer.write(0, frames)

    assert stored_frames(group).tobytes() == frames.tobytes()


# --- Metadata.


def test_each_frame_has_its_own_values_and_those_of_all(group):
    columns = {
        "device": ["camera"] * 3,
        "time": [0.0, 0.5, None],
        "focus": [None, None, 2],
        "date": [None] * 3,
        "identifier": ["a", "b", "c"],
        "sim center": [np.array([1.0, 2.0])] * 3,
    }
    with open_writer(group, columns=columns, n_frames=3) as writer:
        writer.write(0, FRAMES[:3])

    for k in range(3):
        expected = {key for key, column in columns.items() if column[k] is not None}
        attributes = group[f"fli_{k}"].attrs
        assert set(attributes) == expected
        for key in expected:
            np.testing.assert_array_equal(attributes[key], columns[key][k])


def test_frames_on_disk_are_shown_as_pictures(tmp_path):
    with h5py.File(tmp_path / "out.h5", "w") as file:
        with open_writer(file) as writer:
            writer.write(0, FRAMES)
        assert dict(file[f"fli_3/{RAW}"].attrs) == PICTURE_ATTRIBUTES
        assert len(file[f"fli_3/{BACKGROUNDS}"]) == 0


def test_the_real_flimage_reads_the_same_values(tmp_path):
    flimage = pytest.importorskip("flimage", reason="the reference library is not installed")
    columns = {"time": list(np.arange(12.0)), "identifier": [f"id{k}" for k in range(12)]}
    versions = {key: [version] * 12 for key, version in VERSION_ATTRIBUTES.items()}
    with h5py.File(tmp_path / "out.h5", "w") as file, open_writer(file, columns={**columns, **versions}) as writer:
        writer.write(0, FRAMES)

    with flimage.FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as series:
        assert len(series) == 12
        for k, image in enumerate(series):
            assert image.raw_fl.tobytes() == FRAMES[k].tobytes()
            np.testing.assert_array_equal(image.fl, FRAMES[k])
            assert (image["time"], image["identifier"]) == (k, f"id{k}")


# --- The encoding.


def filters(dataset):
    return dataset.compression, dataset.shuffle, dataset.fletcher32


@pytest.mark.parametrize(("kind", "is_shuffled"), [("counts", False), ("noise", True)])
@pytest.mark.parametrize("order", [[0, 8], [8, 0]], ids=str)
def test_the_encoding_follows_from_the_first_block_whichever_comes_first(tmp_path, kind, is_shuffled, order):
    rng = np.random.default_rng(0)
    kinds = {
        "counts": (rng.poisson(50, (8, *SHAPE)) * np.float32(1.1)).astype(np.float32),
        "noise": rng.normal(100, 10, (8, *SHAPE)).astype(np.float32),
    }
    blocks = {0: kinds.pop(kind), 8: kinds.popitem()[1]}
    with h5py.File(tmp_path / "out.h5", "w") as file:
        with open_writer(file, n_frames=16) as writer:
            for first in order:
                writer.write(first, blocks[first])
        assert {filters(file[f"fli_{k}/{RAW}"]) for k in range(16)} == {("gzip", is_shuffled, True)}
        np.testing.assert_array_equal(stored_frames(file), np.concatenate([blocks[0], blocks[8]]))


# --- What is refused.


def test_a_block_of_another_shape_is_named(group):
    with open_writer(group) as writer, pytest.raises(ParameterError, match=r"starts at frame 4 .*\(7, 5\).*\(5, 7\)"):
        writer.write(4, np.zeros((2, 7, 5)))


@pytest.mark.parametrize("n_before", [0, 4])
def test_a_closed_writer_refuses_a_late_block(group, n_before):
    with open_writer(group) as writer:
        writer.write(0, FRAMES[:n_before])

    with pytest.raises(FileError, match="was closed before all its frames"):
        writer.write(4, FRAMES[4:8])
    assert len(group) == n_before


def test_a_writer_whose_file_is_closed_says_so(tmp_path):
    with h5py.File(tmp_path / "out.h5", "w") as file:
        writer = open_writer(file)
        writer.write(0, FRAMES[:4])
    with writer, pytest.raises((FileError, ValueError)):
        writer.write(4, FRAMES[4:])


def test_an_output_larger_than_its_disk_is_refused_at_once(tmp_path):
    with (
        h5py.File(tmp_path / "out.h5", "w") as file,
        open_writer(file, n_frames=10**15) as writer,
        pytest.raises(FileError, match=r"needs about .* PiB, but the disk of .* left: make room"),
    ):
        writer.write(0, FRAMES)


def test_a_writer_is_found_again_in_its_own_process_only(group, tmp_path):
    with open_writer(group) as writer:
        (tmp_path / "writer").write_bytes(pickle.dumps(writer))

        assert pickle.loads(pickle.dumps(writer)) is writer
        code = f"import pickle; pickle.load(open({str(tmp_path / 'writer')!r}, 'rb'))"
        elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "FileError: an output file can be written only by the process that opened it" in elsewhere.stderr


def test_the_real_series_survives_being_written_again(shared_data, tmp_path):
    with h5py.File(Path(shared_data) / "mito_series.h5") as source, h5py.File(tmp_path / "out.h5", "w") as file:
        frames = stored_frames(source)
        writer = SeriesWriter(
            file,
            frame_shape=frames.shape[1:],
            dtype=frames.dtype,
            columns={},
            n_frames=len(frames),
            on_stored=lambda n: None,
        )
        with writer:
            writer.write(0, frames)
        np.testing.assert_array_equal(stored_frames(file), frames)
