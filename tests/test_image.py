"""One image: pixels, background, metadata, crops and copies, in memory and on disk."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask import META_KEYS_FL, FLImage, FLSeries
from flimage_dask.errors import (
    FileError,
    FileMissingError,
    FrameDataError,
    MetaDataMissingError,
    MetaKeyError,
    OutputExistsError,
    ParameterError,
    SeriesError,
)
from flimage_dask.notices import ClippingWarning

RAMP = np.arange(60.0).reshape(6, 10)


@pytest.fixture(params=["memory", "disk"])
def place(request, tmp_path):
    """Return where an image is kept."""
    return None if request.param == "memory" else tmp_path / "image.h5"


def test_an_image_gives_back_its_pixels(place):
    fli = FLImage(data=RAMP, h5file=place)
    assert np.array_equal(fli.raw_fl, RAMP)
    assert np.array_equal(fli.fl, RAMP)
    assert np.array_equal(fli.fluorescence, RAMP)
    assert np.array_equal(fli.bg_fl, np.zeros_like(RAMP))
    assert (fli.shape, fli.dtype) == ((6, 10), np.float32)


def test_an_image_on_disk_is_one_checked_deflated_chunk(tmp_path):
    with FLImage(data=RAMP, h5file=tmp_path / "image.h5") as fli:
        raw = fli.h5["fluorescence/raw"]
        assert (raw.chunks, raw.compression, raw.fletcher32) == (RAMP.shape, "gzip", True)
        assert raw.attrs["CLASS"] == b"IMAGE"
        assert "bg_data" in fli.h5["fluorescence"]


@given(
    data=hnp.arrays(
        st.sampled_from(["u1", "<u2", ">i2", "i4", "f4", ">f4", "f8", "?"]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 1),
    ),
    h5dtype=st.sampled_from(["float32", "float64", ">f4"]),
)
def test_any_real_image_comes_back_in_the_stored_type(data, h5dtype, tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "image.h5"
    with FLImage(data=data, h5file=path, h5dtype=h5dtype) as fli:
        stored = bool if data.dtype == bool else np.dtype(h5dtype)
        assert np.array_equal(fli.raw_fl, data.astype(stored))
    with FLImage(h5file=path, h5mode="r") as fli:
        assert fli.dtype == stored


def test_lists_are_images_too():
    assert np.array_equal(FLImage(data=[[1, 2], [3, 4]]).fl, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    "data", [np.zeros(3), np.zeros((2, 2, 2)), np.zeros((2, 2), complex), [["a"]], np.zeros((0, 3))]
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ParameterError, match="image"):
        FLImage(data=data)


def test_a_path_as_data_is_refused_with_a_hint(tmp_path):
    with pytest.raises(ValueError, match="h5file="):
        FLImage(str(tmp_path / "image.h5"))


@pytest.mark.parametrize("background", [2, 2.0, np.float64(2), np.full((6, 10), 2.0), FLImage(np.full((6, 10), 2.0))])
def test_a_background_is_a_number_an_image_or_another_flimage(place, background):
    fli = FLImage(data=RAMP, h5file=place)
    fli.set_bg_data(background)
    assert np.array_equal(fli.fl, RAMP - 2)
    assert np.array_equal(fli.bg_fl, np.full(RAMP.shape, 2.0))
    fli.set_bg_data(None)
    assert np.array_equal(fli.fl, RAMP)


def test_backgrounds_of_both_kinds_add_up():
    fli = FLImage(data=RAMP)
    fli.set_bg_data(2)
    fli._fl.set_bg(3, key="fit", attrs={"fit_profile": "offset"})
    assert np.array_equal(fli.fl, RAMP - 5)
    assert ("fluorescence background fit_profile", "offset") in fli.info


def test_a_background_of_another_shape_is_refused_and_the_old_one_kept():
    fli = FLImage(data=RAMP)
    fli.set_bg_data(1)
    with pytest.raises(ParameterError, match=r"\(10, 6\).*\(6, 10\)"):
        fli.set_bg_data(RAMP.T)
    assert np.array_equal(fli.fl, RAMP - 1)


def test_a_crop_keeps_pixels_metadata_type_and_background():
    fli = FLImage(data=RAMP, meta_data={"time": 3.0}, h5dtype="float64")
    fli.set_bg_data(RAMP / 2)
    part = fli[1:5, 2:8]
    assert np.array_equal(part.fl, (RAMP / 2)[1:5, 2:8])
    assert list(part.h5["fluorescence/bg_data"]) == ["data"]
    assert (part["time"], part.dtype, part.shape) == (3.0, np.float64, (4, 6))
    assert fli[2:4].shape == (2, 10)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", bool])
@pytest.mark.parametrize("background", [-3.0, 10.75])
def test_backgrounds_of_integers_keep_fraction_and_sign(dtype, background):
    fli = FLImage(np.ones((6, 10), dtype), h5dtype=dtype)
    fli.set_bg_data(background)
    assert np.array_equal(fli.fl, np.full((6, 10), 1 - background))
    assert np.array_equal(fli[1:5, 2:8].fl, fli.fl[1:5, 2:8])


def test_a_part_of_an_integer_frame_has_the_background_of_its_series():
    fls = FLSeries([FLImage(RAMP, h5dtype="uint16")])
    fls.set_bg_data(-3.5)
    assert np.array_equal(fls[0][2:4, 2:4].fl, RAMP[2:4, 2:4] + 3.5)


def test_pixels_that_an_integer_type_cannot_hold_are_rounded_and_clipped_with_a_warning():
    with pytest.warns(ClippingWarning, match=r"3 of 5 pixels lie outside uint8.*h5dtype='float32'"):
        fli = FLImage([[-10.0, 1.6, 2.4, 300.0, np.nan]], h5dtype="uint8")
    assert np.array_equal(fli.raw_fl, [[0, 2, 2, 255, 0]])


@pytest.mark.parametrize(
    "region",
    [..., (..., slice(1, 5)), (slice(1, 5), ...), (slice(1, 5), ..., slice(2, 8)), (..., slice(1, 5), slice(2))],
)
def test_an_ellipsis_stands_for_the_other_axes_as_in_numpy(region):
    fli = FLImage(data=RAMP, meta_data={"time": 3.0})
    fli.set_bg_data(RAMP / 2)
    assert np.array_equal(fli[region].fl, fli.fl[region])
    assert fli[region]["time"] == 3.0


@pytest.mark.parametrize(
    "given_index", [0, (0, slice(None)), 1.5, None, (slice(None),) * 3, (..., ...), (..., 3), (..., [1])]
)
def test_anything_but_slices_and_keys_is_refused(given_index):
    with pytest.raises(ValueError, match="slices"):
        FLImage(data=RAMP)[given_index]


def test_metadata_are_set_read_and_checked(place):
    fli = FLImage(data=RAMP, meta_data={"pixel size": 1e-7}, h5file=place)
    fli["time"] = 4.5
    assert fli["time"] == 4.5
    assert "time" in fli
    assert "device" not in fli
    assert dict(fli.meta) == {k: fli[k] for k in META_KEYS_FL if k in fli}
    assert ("pixel size", 1e-7) in fli.info
    with pytest.raises(MetaKeyError, match="wavelength"):
        fli["wavelength"] = 5e-7
    with pytest.raises(KeyError, match="wavelength"):
        fli["wavelength"]
    with pytest.raises(MetaDataMissingError, match="device"):
        fli["device"]
    with pytest.raises(KeyError):
        FLImage(data=RAMP, meta_data={"wavelength": 5e-7})


def test_foreign_attributes_are_tolerated_and_copied_but_not_shown():
    fli = FLImage(data=RAMP)
    fli.h5.attrs["microscope"] = "X"
    assert "microscope" not in fli.meta
    assert "microscope" not in fli
    assert fli.copy().h5.attrs["microscope"] == "X"


def test_equality_is_about_pixels_and_the_metadata_that_describe_them():
    fli = FLImage(data=RAMP, meta_data={"pixel size": 1e-7, "identifier": "a"})
    assert fli == FLImage(data=RAMP, meta_data={"pixel size": 1e-7, "identifier": "b"})
    assert fli != FLImage(data=RAMP, meta_data={"pixel size": 2e-7})
    assert fli != FLImage(data=RAMP + 1, meta_data={"pixel size": 1e-7})
    assert fli != FLImage(data=RAMP[1:], meta_data={"pixel size": 1e-7})
    assert fli != 7


def test_an_image_with_nan_equals_its_copy():
    fli = FLImage(data=np.where(RAMP > 5, RAMP, np.nan))
    assert fli == fli.copy()


def test_the_repr_names_identifier_and_shape():
    fli = FLImage(data=RAMP, meta_data={"identifier": "cell 3"})
    assert repr(fli) == "FLImage <cell 3>, 6x10px"
    assert repr(fli._fl) == "Fluorescence image, 6x10px"


@pytest.mark.parametrize("target", ["memory", "path", "group", "file"])
def test_a_copy_is_independent_and_complete(place, target, tmp_path):
    fli = FLImage(data=RAMP, meta_data={"time": 1.0}, h5file=place)
    fli.set_bg_data(2)
    if target == "memory":
        copied = fli.copy()
    elif target == "path":
        copied = fli.copy(tmp_path / "copy.h5")
    else:
        file = h5py.File(tmp_path / "group.h5", "w")
        copied = fli.copy(file if target == "file" else file.create_group("there"))
    assert copied == fli
    assert np.array_equal(copied.bg_fl, fli.bg_fl)
    copied["time"] = 2.0
    copied.set_bg_data(None)
    assert fli["time"] == 1.0
    assert np.array_equal(fli.fl, RAMP - 2)
    compression = copied.h5["fluorescence/raw"].compression
    assert compression == (None if target == "memory" else "gzip")


def test_a_copy_replaces_a_file_but_never_its_own(tmp_path):
    path = tmp_path / "image.h5"
    with FLImage(data=RAMP, h5file=path) as fli:
        with pytest.raises(FileError, match="itself"):
            fli.copy(path)
        with FLImage(data=RAMP + 1, h5file=tmp_path / "other.h5"):
            pass
        assert np.array_equal(fli.copy(tmp_path / "other.h5").fl, RAMP)


def test_a_file_open_for_reading_only_is_not_changed(tmp_path):
    path = tmp_path / "image.h5"
    with FLImage(data=RAMP, h5file=path):
        pass
    before = path.read_bytes()
    with FLImage(h5file=path, h5mode="r") as fli:
        with pytest.raises(OSError, match="read-only"):
            fli["time"] = 1.0
        with pytest.raises(OSError, match="read-only"):
            fli.set_bg_data(1)
    with pytest.raises(OSError, match="read-only"):
        FLImage(data=RAMP, h5file=path, h5mode="r")
    with pytest.raises(OSError, match="read-only"):
        FLImage(h5file=path, h5mode="r", meta_data={"time": 1.0})
    assert path.read_bytes() == before


def test_opening_and_looking_changes_nothing_even_in_append_mode(shared_data, tmp_path):
    path = tmp_path / "old.h5"
    path.write_bytes((shared_data / "flimage_basic.h5").read_bytes())
    with FLImage(h5file=path) as fli:
        assert fli.shape == (10, 20)
        attributes = dict(fli.h5.attrs)
    with h5py.File(shared_data / "flimage_basic.h5") as original:
        assert set(attributes) == set(original.attrs)


def test_files_of_early_versions_open_read_only(shared_data):
    with FLImage(h5file=shared_data / "flimage_basic.h5", h5mode="r") as fli:
        assert fli.shape == (10, 20)
        assert fli.fl.shape == (10, 20)
        assert fli.info


def test_a_series_is_no_image(series_path):
    with pytest.raises(SeriesError, match=r"FLSeries\(h5file"):
        FLImage(h5file=series_path, h5mode="r")


def test_a_file_without_fluorescence_is_no_image(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FileError, match="no fluorescence"):
        FLImage(h5file=tmp_path / "other.h5", h5mode="r")


@pytest.mark.parametrize("kind", [FrameDataError, KeyError])
def test_an_empty_image_says_how_to_fill_it(kind):
    with pytest.raises(kind, match="data="):
        FLImage().fl  # noqa: B018


def test_a_missing_file_a_folder_and_a_text_file_are_named(tmp_path):
    (tmp_path / "text.h5").write_text("no hdf5")
    for kind in (FLImage, FLSeries):
        with pytest.raises(FileMissingError, match="does not exist") as missing:
            kind(h5file=tmp_path / "missing.h5", h5mode="r")
        assert isinstance(missing.value, FileNotFoundError)
        with pytest.raises(FileMissingError, match="cannot be created"):
            kind(h5file=tmp_path / "no" / "folder.h5")
        with pytest.raises(FileError, match="is a folder"):
            kind(h5file=tmp_path)
        with pytest.raises(FileError, match="not an HDF5 file"):
            kind(h5file=tmp_path / "text.h5", h5mode="r")
        with pytest.raises(OutputExistsError, match="exists already"):
            kind(h5file=tmp_path / "text.h5", h5mode="x")
        with pytest.raises(ParameterError, match="h5mode"):
            kind(h5file=tmp_path / "text.h5", h5mode="rb")
        with pytest.raises(ParameterError, match="h5file"):
            kind(h5file=7)


def test_a_truncated_file_is_called_so(tmp_path):
    path = tmp_path / "image.h5"
    with FLImage(data=np.random.default_rng(0).normal(size=(64, 64)), h5file=path):
        pass
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(FileError, match="truncated"):
        FLImage(h5file=path, h5mode="r")


def test_a_damaged_image_names_its_dataset(tmp_path):
    path = tmp_path / "image.h5"
    with FLImage(data=RAMP, h5file=path) as fli:
        chunk = fli.h5["fluorescence/raw"].id.get_chunk_info(0)
    damaged = bytearray(path.read_bytes())
    damaged[chunk.byte_offset + 5] ^= 1
    path.write_bytes(damaged)
    with FLImage(h5file=path, h5mode="r") as fli, pytest.raises(FrameDataError, match="fluorescence/raw"):
        fli.fl  # noqa: B018


def test_a_file_that_was_opened_is_closed_and_a_given_one_stays_open(tmp_path):
    with FLImage(data=RAMP, h5file=tmp_path / "image.h5") as fli:
        pass
    assert not fli.h5
    with h5py.File(tmp_path / "image.h5", "r") as file, FLImage(h5file=file) as fli:
        pass
    with h5py.File(tmp_path / "image.h5", "r") as file:
        with FLImage(h5file=file):
            pass
        assert file
        with pytest.raises(FileError, match="closed"):
            FLImage(h5file=fli.h5)


# --- Fitted backgrounds.

TILTED = np.add.outer(0.5 * np.arange(20.0), 100 - 0.25 * np.arange(30.0))
MASK = np.zeros((20, 30), bool)
MASK[2:5, 3:27] = True
RAMPS = 100.0 * np.outer(np.arange(20) % 3, np.arange(30) % 5)


@pytest.mark.parametrize(
    ("options", "border_px"),
    [
        ({"border_px": 4}, 4),
        ({"border_perc": 20, "fit_profile": "offset", "fit_offset": "mode"}, 5),
        ({"border_m": 3e-7, "border_px": 2, "fit_profile": "poly2o"}, 3),
        ({"from_mask": MASK}, 0),
        ({"from_mask": MASK, "border_px": 4, "fit_profile": "poly2o", "fit_offset": "fit"}, 4),
    ],
    ids=["border", "percent", "metres", "mask", "both"],
)
@pytest.mark.filterwarnings("ignore")
def test_a_fitted_background_is_qpimages_and_read_by_flimage(flimage, tmp_path, options, border_px):
    raw = (TILTED + np.random.default_rng(0).normal(size=TILTED.shape)).astype(np.float32)
    with FLImage(raw, {"pixel size": 1e-7}, h5file=tmp_path / "ours.h5") as ours:
        mask = ours.compute_bg(ret_mask=True, **options)
        info = dict(ours.info)
    theirs = flimage.FLImage(raw)._fl  # whose class is qpimage's, with the method behind its compute_bg
    asked = {"border_px": border_px, **{key: options[key] for key in options if not key.startswith("border")}}
    assert np.array_equal(mask, theirs.estimate_bg(ret_mask=True, **asked))
    for key, value in theirs.info:
        assert info[key] == value
    with flimage.FLImage(h5file=tmp_path / "ours.h5", h5mode="r") as opened:
        assert np.allclose(opened.bg_fl, theirs.bg, rtol=1e-6)
        assert np.allclose(opened.fl, raw - opened.bg_fl, atol=1e-12)
        assert [item for item in opened.info if "background" in item[0]] == [
            item for item in info.items() if "background" in item[0]
        ]


def test_a_background_is_fitted_to_what_the_measured_one_leaves():
    fli = FLImage(TILTED + RAMPS, h5dtype="float64")
    fli.set_bg_data(RAMPS)
    for profile in ("offset", "tilt"):  # the second takes the place of the first
        assert fli.compute_bg(fit_profile=profile, border_px=3) is None
    assert abs(fli.fl).max() < 1e-9
    fli.set_bg_data(None)
    assert np.allclose(fli.fl, RAMPS)


def test_a_background_is_fitted_to_integers_as_well_as_to_other_numbers():
    fli = FLImage(np.add.outer(np.arange(20), np.arange(30)), h5dtype="uint16")
    fli.compute_bg(border_px=3)
    assert abs(fli.fl).max() < 1e-5


def test_a_mask_is_kept_only_as_long_as_the_background_it_belongs_to():
    fli = FLImage(TILTED)
    fli.compute_bg(from_mask=MASK)
    assert np.array_equal(fli.h5["fluorescence/estimate_bg_from_mask"][()], MASK)
    fli.compute_bg(border_px=3)
    assert "estimate_bg_from_mask" not in fli.h5["fluorescence"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "border_px=…"),
        ({"border_px": -1}, "border_px=-1"),
        ({"border_px": 10}, "from 1 to 9"),
        ({"border_px": 3, "fit_profile": "cubic"}, "'poly2o'"),
        ({"border_px": 3, "fit_offset": "median"}, "'gauss'"),
        ({"from_mask": MASK.T}, r"from_mask has shape \(30, 20\)"),
        ({"from_mask": MASK, "border_px": 2}, "at least one pixel of the border"),
        ({"from_mask": MASK.astype(int)}, "of bool"),
    ],
)
def test_a_background_that_cannot_be_fitted_is_refused(options, message):
    fli = FLImage(TILTED)
    with pytest.raises(ParameterError, match=message):
        fli.compute_bg(**options)
    assert not list(fli.h5["fluorescence/bg_data"])


def test_a_border_in_metres_needs_the_size_of_a_pixel():
    with pytest.raises(MetaDataMissingError, match="pixel size"):
        FLImage(TILTED).compute_bg(border_m=1e-6)


def test_an_image_that_is_open_read_only_gets_no_background(tmp_path):
    with FLImage(TILTED, h5file=tmp_path / "image.h5"):
        pass
    with FLImage(h5file=tmp_path / "image.h5", h5mode="r") as fli, pytest.raises(FileError, match="h5mode"):
        fli.compute_bg(border_px=3)


def test_a_copy_replaces_no_file_that_is_protected(tmp_path, monkeypatch):
    (path := tmp_path / "raw.h5").write_bytes(b"raw")
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != path)  # the superuser may write anywhere
    with pytest.raises(PermissionError, match="write-protected"):
        FLImage(np.ones((4, 5))).copy(path)
    assert path.read_bytes() == b"raw"


def test_a_path_may_be_bytes_as_for_h5py(tmp_path):
    path = os.fsencode(tmp_path / "image.h5")
    with FLImage(data=RAMP, h5file=path) as fli:
        fli.copy(os.fsencode(tmp_path / "copy.h5")).close()
    for name in ("image.h5", "copy.h5"):
        with FLImage(h5file=tmp_path / name, h5mode="r") as fli:
            assert np.array_equal(fli.fl, RAMP)
