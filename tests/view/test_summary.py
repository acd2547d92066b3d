import json

import h5py
import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries
from flimage_dask.errors import FileError, FileMissingError, SeriesError
from flimage_dask.view.summary import describe_file, file_text


def write_series(path, n_frames=6, *, times=None, meta=None, background=None, identifier="cells"):
    times = range(n_frames) if times is None else times
    images = [
        FLImage(np.full((12, 16), 3.0 + k), {**(meta or {}), **({} if t is None else {"time": float(t)})})
        for k, t in zip(range(n_frames), times, strict=True)
    ]
    with FLSeries(images, h5file=path, identifier=identifier) as fls:
        if background is not None:
            fls.set_bg_data(background)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "series.h5"


def described(path):
    """Return description and text, after a check that the description is ready for JSON."""
    found = describe_file(path)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found, file_text(found)


def test_a_series_is_described(path):
    found, text = described(write_series(path, meta={"pixel size": 1e-7}))
    assert (found["kind"], found["identifier"], found["n_frames"]) == ("series", "cells", 6)
    assert (found["frame_shape"], found["dtype"]) == ([12, 16], "float32")
    assert (found["duration"], found["frame_interval"], found["regular"]) == (5.0, 1.0, True)
    assert found["file_bytes"] == path.stat().st_size
    assert found["uncompressed_bytes"] == 6 * 12 * 16 * 4
    assert text.startswith(f"{path}: a series of 6 frames\n")
    assert "12 x 16 px, float32" in text
    assert "5 s, a frame every 1 s" in text


def test_a_single_image_is_described(tmp_path):
    with FLImage(np.ones((10, 20)), {"time": 90.0, "device": "scope"}, h5file=tmp_path / "image.h5") as image:
        image.set_bg_data(1)
    found, text = described(tmp_path / "image.h5")
    assert (found["kind"], found["n_frames"], found["frame_shape"]) == ("image", 1, [10, 20])
    assert found["backgrounds"] == {"data": {"n_frames": 1, "n_images": 1}}
    assert "a single image" in text
    assert "90 s" in text
    assert "scope" in text


@pytest.mark.parametrize("time", [90, np.float32(90), 90.0])
def test_the_time_of_an_image_is_any_number(tmp_path, time):
    with FLImage(np.ones((10, 20)), {"time": time}, h5file=tmp_path / "image.h5"):
        pass
    found, _ = described(tmp_path / "image.h5")
    assert found["first_time"] == 90.0


def test_metadata_that_agree_stand_apart_from_those_that_vary(path):
    found, text = described(write_series(path, meta={"pixel size": 2.5e-7}))
    assert found["metadata"]["constant"]["pixel size"] == 2.5e-7
    assert found["metadata"]["varying"] == {"time": {"n": 6, "lowest": 0.0, "highest": 5.0}}
    assert "2.5e-07 m" in text
    assert "0 to 5 s" in text


def test_of_many_names_a_few_examples_are_shown(path):
    write_series(path)
    with FLSeries(h5file=path) as fls:
        for k, image in enumerate(fls):
            image["identifier"] = f"cell_{k}"
    found, text = described(path)
    assert found["metadata"]["varying"]["identifier"]["n_different"] == 6
    assert "cell_0, cell_1, cell_2, … cell_5" in text


def test_frames_without_a_time_are_counted(path):
    found, text = described(write_series(path, times=[0, None, 2, 3, None, 5]))
    assert found["n_with_time"] == 4
    assert "(2 frames without a time)" in text
    assert "(2 frames without)" in text


def test_a_series_without_times_says_so(path):
    found, text = described(write_series(path, times=[None] * 6))
    assert found["duration"] is None
    assert "not known" in text


def test_irregular_times_are_called_so(path):
    found, text = described(write_series(path, times=[0, 1, 2, 3, 4, 60]))
    assert not found["regular"]
    assert "irregular" in text


def test_a_shared_background_counts_once(path):
    found, text = described(write_series(path, background=np.ones((12, 16))))
    assert found["backgrounds"] == {"data": {"n_frames": 6, "n_images": 1}}
    assert found["uncompressed_bytes"] == 7 * 12 * 16 * 4
    assert "data (1 image for 6 frames)" in text


def test_provenance_is_shown(path, tmp_path):
    write_series(path)
    with FLSeries(h5file=path, h5mode="r") as fls:
        fls.background_correction(tmp_path / "out.h5", border_px=2)
    found, text = described(tmp_path / "out.h5")
    assert found["provenance"]["operation"] == "background_correction"
    assert "background_correction" in text
    assert "border px 2" in text


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ("{broken", "Expecting property name"),
        ("[1, 2]", "found list"),
        ("[" * 100_000, "recursion"),
        (np.arange(3), "expected JSON text"),
        ("1" * 10_000, "not readable"),
    ],
)
def test_provenance_that_is_no_json_is_a_note_and_no_error(path, stored, reason):
    write_series(path)
    with h5py.File(path, "a") as file:
        if isinstance(stored, str) and len(stored) > 60_000:
            file.attrs.create("flimage_dask", "", dtype=h5py.string_dtype())
        file.attrs["flimage_dask"] = stored
    found, text = described(path)
    assert found["provenance"] is None
    assert reason in found["notes"][0]
    assert f"note: {found['notes'][0]}" in text


@pytest.mark.parametrize("nested", ["[" * 400 + "]" * 400, "NaN", '{"a": {"b": [1, null, true]}}'])
def test_unusual_provenance_is_shown_as_far_as_it_goes(path, nested):
    write_series(path)
    with h5py.File(path, "a") as file:
        file.attrs["flimage_dask"] = f'{{"odd": {nested}}}'
    found, text = described(path)
    assert set(found["provenance"]) == {"odd"}
    assert max(map(len, text.splitlines())) < 200


def test_text_from_a_file_cannot_steer_the_terminal(path):
    write_series(path, identifier="red \x1b[31m and\nnew line", meta={"device": "\x9b2J" + "x" * 500})
    _, text = described(path)
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "red ?[31m and new line" in text
    assert max(map(len, text.splitlines())) < 200


def test_a_path_is_printed_as_a_whole(tmp_path):
    (folder := tmp_path / ("long  " * 20)).mkdir()
    _, text = described(path := write_series(folder / "series.h5"))
    assert text.splitlines()[0] == f"{path}: a series of 6 frames"


def test_foreign_attributes_do_no_harm(path):
    write_series(path)
    with h5py.File(path, "a") as file:
        file["fli_0"].attrs["stage temperature"] = 37
    found, _ = described(path)
    assert "stage temperature" not in found["metadata"]["varying"]


def test_a_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(FileError, match="neither a series"):
        describe_file(tmp_path / "other.h5")


def test_a_file_that_does_not_exist_is_refused_and_not_made(tmp_path):
    with pytest.raises(FileMissingError, match="does not exist"):
        describe_file(tmp_path / "none.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_series_with_a_gap_is_refused(path):
    write_series(path)
    with h5py.File(path, "a") as file:
        del file["fli_2"]
    with pytest.raises(SeriesError, match="gap"):
        describe_file(path)


def test_a_series_written_by_flimage_is_described(shared_data):
    found, text = described(shared_data / "mito_series.h5")
    assert (found["n_frames"], found["identifier"]) == (47, "mito")
    assert found["metadata"]["constant"]["flimage version"] == "0.3.3"
    assert "46 h, a frame every 1 h" in text


@pytest.mark.parametrize("name", ["retina_p10.h5", "flimage_basic.h5"])
def test_images_written_by_flimage_are_described(shared_data, name):
    found, text = described(shared_data / name)
    assert found["kind"] == "image"
    assert "a single image" in text
