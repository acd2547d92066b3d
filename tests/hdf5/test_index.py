"""Where the frames of a series lie, and which series are refused."""

import pickle

import h5py
import numpy as np
import pytest

from flimage_dask.errors import FileError, SeriesError
from flimage_dask.hdf5.image_layout import NO_RANGE
from flimage_dask.hdf5.index import NO_IMAGE, index_series
from flimage_dask.hdf5.layout import BACKGROUNDS, RAW
from flimage_dask.hdf5.reader import open_reader

SHAPE = (3, 4)


@pytest.fixture
def series():
    """Open a series of four frames in memory, each filled with its number."""
    with h5py.File("index", "w", driver="core", backing_store=False) as file:
        for k in range(4):
            file[f"fli_{k}/{RAW}"] = np.full(SHAPE, k, np.float32)
            file.create_group(f"fli_{k}/{BACKGROUNDS}")
        yield file


def index(group, *numbers):
    return index_series(group, np.array(numbers or range(4)))


def backgrounds_by_kind(group):
    return {kind.images.dataset.rsplit("/", 1)[-1]: kind for kind in index(group).backgrounds}


def set_background(group, number, value, kind="data", shape=SHAPE):
    group[f"fli_{number}/{BACKGROUNDS}/{kind}"] = np.full(shape, value, np.float32)


def test_the_index_tells_shape_type_and_names(series):
    frames = index(series).frames

    assert (len(frames), frames.shape, frames.dtype) == (4, SHAPE, np.float32)
    assert frames.image_bytes == 48
    assert frames.path(2) == "fli_2/fluorescence/raw"


def test_frames_are_indexed_in_the_order_asked_for(series):
    frames = index(series, 3, 1, 3).frames
    out = np.empty((3, *SHAPE), np.float32)
    open_reader(series).read(frames, np.arange(3), out)

    assert out[:, 0, 0].tolist() == [3, 1, 3]


def test_taken_frames_keep_their_places_and_backgrounds(series):
    set_background(series, 1, 10)
    set_background(series, 3, 30)
    whole = index(series)
    taken = whole.take(np.array([3, 0]))

    assert taken.frames.numbers.tolist() == [3, 0]
    assert taken.frames.offsets.tolist() == whole.frames.offsets[[3, 0]].tolist()
    assert taken.backgrounds[0].image_of.tolist() == [1, NO_IMAGE]


def test_the_index_survives_pickling(series):
    set_background(series, 1, 10)
    expected = index(series)
    copied = pickle.loads(pickle.dumps(expected))

    assert copied.frames.offsets.tolist() == expected.frames.offsets.tolist()
    assert copied.frames.pipelines == expected.frames.pipelines
    assert copied.backgrounds[0].image_of.tolist() == expected.backgrounds[0].image_of.tolist()


def test_frames_stored_alike_share_one_pipeline_even_if_others_lie_between(series):
    for k in (1, 3):
        del series[f"fli_{k}/{RAW}"]
        series.create_dataset(f"fli_{k}/{RAW}", data=np.zeros(SHAPE, np.float32), chunks=SHAPE, compression="gzip")
    frames = index(series).frames

    assert [pipeline.codes for pipeline in frames.pipelines] == [(), (1,)]
    assert frames.pipeline_of.tolist() == [0, 1, 0, 1]


def test_virtual_frames_with_sources_of_their_own_share_one_pipeline(series):
    for k in range(4):
        layout = h5py.VirtualLayout(SHAPE, np.float32)
        layout[...] = h5py.VirtualSource(".", f"source_{k}", SHAPE)
        del series[f"fli_{k}/{RAW}"]
        series.create_virtual_dataset(f"fli_{k}/{RAW}", layout)

    assert len(index(series).frames.pipelines) == 1


@pytest.mark.parametrize(
    ("types", "common"),
    [(("u1", "f4"), "f4"), (("i4", "f4"), "f8"), ((">f4", ">f4"), "f4"), (("?", "?"), "?"), (("u1", "i1"), "i2")],
)
def test_a_series_of_several_types_has_their_common_type(types, common):
    with h5py.File("types", "w", driver="core", backing_store=False) as file:
        for k, dtype in enumerate(types):
            file[f"fli_{k}/{RAW}"] = np.ones(SHAPE, dtype)
        dtype = index(file, 0, 1).frames.dtype

    assert dtype == np.dtype(common)
    assert dtype.isnative


# --- Background images.


def test_frames_without_backgrounds_have_none(series):
    assert index(series).backgrounds == ()


def test_a_frame_without_the_group_of_backgrounds_has_none(series):
    del series[f"fli_2/{BACKGROUNDS}"]
    set_background(series, 1, 10)

    assert index(series).backgrounds[0].image_of.tolist() == [NO_IMAGE, 0, NO_IMAGE, NO_IMAGE]


def test_a_background_shared_by_hard_link_has_one_entry(series):
    set_background(series, 0, 10)
    set_background(series, 2, 20)
    for k in (1, 3):
        series[f"fli_{k}/{BACKGROUNDS}/data"] = series[f"fli_0/{BACKGROUNDS}/data"]
    (data,) = index(series).backgrounds

    assert len(data.images) == 2
    assert data.image_of.tolist() == [0, 0, 1, 0]


def test_a_background_shared_by_soft_link_has_one_entry(series):
    set_background(series, 0, 10)
    series[f"fli_1/{BACKGROUNDS}/data"] = h5py.SoftLink(f"/fli_0/{BACKGROUNDS}/data")

    assert index(series).backgrounds[0].image_of.tolist() == [0, 0, NO_IMAGE, NO_IMAGE]


def test_data_and_fit_are_told_apart_even_if_they_are_one_image(series):
    set_background(series, 1, 10)
    series[f"fli_1/{BACKGROUNDS}/fit"] = series[f"fli_1/{BACKGROUNDS}/data"]
    set_background(series, 2, 20, "fit")
    kinds = backgrounds_by_kind(series)

    assert kinds["data"].image_of.tolist() == [NO_IMAGE, 0, NO_IMAGE, NO_IMAGE]
    assert kinds["fit"].image_of.tolist() == [NO_IMAGE, 0, 1, NO_IMAGE]


def test_a_background_in_another_file_is_left_to_hdf5(tmp_path):
    with h5py.File(tmp_path / "backgrounds.h5", "w") as file:
        file["data"] = np.full(SHAPE, 5.0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for k in range(2):
            file[f"fli_{k}/{RAW}"] = np.full(SHAPE, k, np.float32)
            file[f"fli_{k}/{BACKGROUNDS}/data"] = h5py.ExternalLink("backgrounds.h5", "data")
    with h5py.File(tmp_path / "a.h5") as file:
        data = index(file, 0, 1).backgrounds[0]
        out = np.empty((2, *SHAPE))
        open_reader(file).read(data.images, data.image_of, out)

    assert (data.images.offsets == NO_RANGE).all()
    np.testing.assert_array_equal(out, 5)


def test_a_background_of_another_shape_is_named(series):
    set_background(series, 0, 10)
    set_background(series, 2, 10, shape=(4, 3))

    with pytest.raises(SeriesError, match=r"background 'fluorescence/bg_data/data' of frame 2 .* \(4, 3\).* \(3, 4\)"):
        index(series)


@pytest.mark.parametrize("target", ["/nowhere", f"/fli_0/{BACKGROUNDS}"])
def test_a_background_that_is_no_image_names_its_frame(series, target):
    series[f"fli_2/{BACKGROUNDS}/data"] = h5py.SoftLink(target)

    with pytest.raises(SeriesError, match="frame 2 of"):
        index(series)


def test_a_broken_link_to_backgrounds_is_not_taken_for_no_background(series):
    del series[f"fli_2/{BACKGROUNDS}"]
    series[f"fli_2/{BACKGROUNDS}"] = h5py.SoftLink("/nowhere")

    with pytest.raises(SeriesError, match="the background of frame 2"):
        index(series)


# --- Series that are refused.


def replace_raw(series, number, **dataset):
    del series[f"fli_{number}/{RAW}"]
    series.create_dataset(f"fli_{number}/{RAW}", **dataset)


def test_an_empty_series_is_refused(series):
    with pytest.raises(SeriesError, match="without frames"):
        index_series(series, np.array([], np.int64))


def test_a_gap_is_named(series):
    del series["fli_1"]

    with pytest.raises(SeriesError, match=r"no frame 'fli_1'.*gap"):
        index(series)


@pytest.mark.parametrize("link", [None, h5py.SoftLink("/nowhere"), h5py.ExternalLink("no.h5", "/"), h5py.SoftLink("/")])
def test_a_frame_without_an_image_is_named(series, link):
    del series[f"fli_2/{RAW}"]
    if link is not None:
        series[f"fli_2/{RAW}"] = link

    with pytest.raises(SeriesError, match="frame 2 of 'index' has no dataset 'fluorescence/raw'"):
        index(series)


def test_a_frame_that_is_a_dataset_is_named(series):
    del series["fli_2"]
    series["fli_2"] = np.zeros(SHAPE)

    with pytest.raises(SeriesError, match="frame 2 of 'index' has no dataset"):
        index(series)


def test_a_frame_of_another_shape_is_named(series):
    replace_raw(series, 2, shape=(4, 3), dtype="f4")

    with pytest.raises(SeriesError, match=r"frame 2 of 'index' has shape \(4, 3\); the series has \(3, 4\)"):
        index(series)


@pytest.mark.parametrize(
    "dataset",
    [
        {"shape": (2, 3, 4), "dtype": "f4"},
        {"shape": (4,), "dtype": "f4"},
        {"shape": (), "dtype": "f4"},
        {"data": h5py.Empty("f4")},
        {"shape": SHAPE, "dtype": complex},
        {"shape": SHAPE, "dtype": h5py.string_dtype()},
        {"shape": SHAPE, "dtype": "S3"},
        {"shape": SHAPE, "dtype": [("a", "f4"), ("b", "f4")]},
    ],
    ids=str,
)
@pytest.mark.parametrize("number", [0, 2])
def test_a_frame_that_is_no_image_of_real_numbers_is_named(series, dataset, number):
    replace_raw(series, number, **dataset)

    with pytest.raises(
        SeriesError, match=f"frame {number} of 'index' has shape .* two-dimensional image of real numbers"
    ):
        index(series)


@pytest.mark.parametrize(
    ("shape", "reason"), [((0, 5), "holds no pixel"), ((1 << 22, 1 << 22), "memory of this machine")]
)
def test_a_frame_whose_shape_cannot_be_is_named(series, shape, reason):
    replace_raw(series, 2, shape=shape, dtype="f4", chunks=None if 0 in shape else (64, 64))

    with pytest.raises(SeriesError, match=f"frame 2 of 'index' has shape .*{reason}"):
        index(series)


def test_the_real_series_is_indexed_by_ranges(shared_data):
    with h5py.File(shared_data / "mito_series.h5") as file:
        found = index_series(file, np.arange(len(file)))

    assert (found.frames.offsets != NO_RANGE).all()


def test_damage_of_the_file_itself_names_the_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for k in range(3):
            file[f"fli_{k}/{RAW}"] = np.full(SHAPE, k, np.float32)
    content = path.read_bytes()
    # The table of the names in the root group.
    path.write_bytes(content.replace(b"TREE", b"TROO"))

    with h5py.File(path) as file, pytest.raises((FileError, SeriesError), match=f"'{path}'"):
        index(file, 0, 1, 2)
