"""A series: adding frames, finding them, views, metadata, shared backgrounds, contexts."""

import os
import subprocess
import sys

import dask
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flimage_dask
from flimage_dask import FLImage, FLSeries, store, to_hdf5
from flimage_dask.errors import (
    FileClosedError,
    FileError,
    FileReadOnlyError,
    FrameNotFoundError,
    ParameterError,
    SeriesError,
)
from flimage_dask.hdf5 import layout

from .conftest import write_series_file


def images(n_frames, shape=(4, 6)):
    return [FLImage(np.full(shape, float(k)), {"identifier": f"cell_{k}", "time": k / 2}) for k in range(n_frames)]


@pytest.fixture(params=["memory", "path", "group"])
def fls(request, tmp_path):
    """Return a series of five frames in each kind of place."""
    if request.param == "group":
        with h5py.File(tmp_path / "file.h5", "w") as file:
            yield FLSeries(images(5), h5file=file.create_group("a/series"))
    else:
        with FLSeries(images(5), h5file=None if request.param == "memory" else tmp_path / "series.h5") as series:
            yield series


def test_frames_are_found_by_index_and_identifier(fls):
    assert len(fls) == 5
    assert fls.shape == (5, 4, 6)
    for k in range(5):
        assert fls[k].fl[0, 0] == fls[k - 5].fl[0, 0] == fls[f"cell_{k}"].fl[0, 0] == k
        assert fls[np.int32(k)] == fls.get_flimage(k)
    assert "cell_3" in fls
    assert "cell_5" not in fls
    assert [fli["identifier"] for fli in fls] == fls.identifiers


@pytest.mark.parametrize("missing", [5, -6, "cell_9", 10**9])
@pytest.mark.parametrize("error", [KeyError, IndexError, ValueError, FrameNotFoundError])
def test_a_missing_frame_is_every_error_that_users_catch(missing, error):
    with pytest.raises(error, match=str(missing)):
        FLSeries(images(5))[missing]


def test_an_index_must_be_an_integer():
    with pytest.raises(ParameterError, match="integer"):
        FLSeries(images(2))[1.0]


def test_iteration_by_index_ends():
    fls = FLSeries(images(3))
    assert len(list(iter(fls))) == 3

    # Python's oldest protocol of iteration asks for items until an IndexError.
    class Old:
        def __getitem__(self, k):
            return fls[k]

    assert len(list(Old())) == 3


def test_slices_and_lists_are_views(fls):
    view = fls[1:4]
    assert len(view) == 3
    assert view.identifiers == ["cell_1", "cell_2", "cell_3"]
    assert view[0] == fls[1]
    assert view[-1] == fls[3]
    assert "cell_0" not in view
    assert "cell_2" in view
    with pytest.raises(KeyError):
        view["cell_0"]
    assert view[::-2].identifiers == ["cell_3", "cell_1"]
    assert fls[[0, -1, 2]].identifiers == ["cell_0", "cell_4", "cell_2"]
    assert np.array_equal(fls[[0, -1, 2]].fl[:, 0, 0].compute(), [0, 4, 2])
    assert np.array_equal(fls[np.array([3])].times, [1.5])
    assert len(fls[5:]) == 0
    view[0]["time"] = 77.0
    assert fls[1]["time"] == 77.0


@pytest.mark.parametrize("kind", [list, np.array])
def test_a_mask_chooses_the_frames_it_marks(fls, kind):
    assert fls[kind([True, False, False, True, False])].identifiers == ["cell_0", "cell_3"]
    with pytest.raises(ParameterError, match=r"mask of shape \(2,\); 5 frames"):
        fls[kind([True, False])]


@pytest.mark.parametrize("index", [True, 1.5, None, [1, True], ["cell_1"]])
def test_an_index_that_is_no_integer_is_refused(fls, index):
    with pytest.raises(ParameterError, match="not a frame position"):
        fls[index]


def test_a_list_of_images_must_be_one(tmp_path):
    with pytest.raises(ValueError, match="h5file="):
        FLSeries(str(tmp_path))
    with pytest.raises(ValueError, match="FLImage"):
        FLSeries(["hans", 1])
    with pytest.raises(ValueError, match="must be a list of images, not FLImage"):
        FLSeries(FLImage(np.ones((4, 5))))
    with pytest.raises(ValueError, match="must be a list of images, not int"):
        FLSeries(5)


def test_identifiers_are_unique_and_can_be_overridden(fls):
    with pytest.raises(SeriesError, match="cell_2"):
        fls.add_flimage(images(3)[2])
    assert len(fls) == 5
    fls.add_flimage(images(3)[2], identifier="other")
    assert fls[5]["identifier"] == "other"
    assert fls["other"] == fls["cell_2"]


def test_changed_metadata_and_identifiers_are_seen_at_once(fls):
    assert "cell_1" in fls
    times = fls.times
    fls[1]["identifier"] = "renamed"
    fls["renamed"]["time"] = 9.0
    assert "cell_1" not in fls
    assert fls["renamed"] == fls[1]
    assert fls.identifiers[1] == "renamed"
    assert times[1] == 0.5
    assert fls.times[1] == 9.0
    assert fls.meta["time"][1] == 9.0
    fls.add_flimage(FLImage(np.ones((4, 6)), {"device": "camera"}))
    assert fls.meta["device"] == [None] * 5 + ["camera"]
    assert np.isnan(fls.times[5])


def test_changes_through_another_series_of_the_same_file_are_seen(tmp_path):
    with FLSeries(images(2), h5file=tmp_path / "series.h5") as fls:
        other = FLSeries(h5file=fls.h5)
        assert other.shape == (2, 4, 6)
        fls.add_flimage(FLImage(np.full((4, 6), 8.0)), identifier="new")
        assert other["new"].fl[0, 0] == 8
        assert other.fl[2, 0, 0].compute() == 8


def test_a_series_that_was_written_into_an_open_group_is_seen_at_once(fls):
    target = FLSeries()
    assert target.meta == {}
    assert "cell_3" not in target
    to_hdf5(fls.fl, target.h5, like=fls)
    assert target.meta == fls.meta
    assert np.array_equal(target.times, fls.times)
    assert target["cell_3"] == target[3]


def test_a_series_that_could_not_be_written_into_an_open_group_is_not_seen(fls):
    target, seen = FLSeries(), []

    def look_and_fail(block):
        if len(target):
            seen.append(target.meta["time"])
            raise RuntimeError("as planned")
        return block

    frames = fls.fl.rechunk((1, -1, -1)).map_blocks(look_and_fail, meta=fls.fl._meta)
    with dask.config.set(scheduler="synchronous"), pytest.raises(RuntimeError, match="as planned"):
        to_hdf5(frames, target.h5, like=fls)
    assert seen == [[0.0]]
    assert target.meta == {}


def test_metadata_for_all_frames_replace_those_of_the_images(tmp_path):
    with FLSeries(images(3), meta_data={"time": 5.0, "pixel size": 1e-7}, h5file=tmp_path / "s.h5") as fls:
        assert fls.meta["time"] == [5.0] * 3
        assert fls[2]["pixel size"] == 1e-7
    with pytest.raises(ValueError, match="'r'"):
        FLSeries(h5file=tmp_path / "s.h5", h5mode="r", meta_data={"time": 1.0})
    with pytest.raises(KeyError):
        FLSeries(h5file=tmp_path / "s.h5", meta_data={"wavelength": 1.0})


def test_metadata_cannot_be_damaged_through_what_is_returned():
    fls = FLSeries(images(2))
    fls.meta["time"][0] = -1
    fls.times[0] = -1
    fls.identifiers[0] = "x"
    assert fls.meta["time"] == [0.0, 0.5]
    assert fls.times[0] == 0.0
    assert fls.identifiers[0] == "cell_0"


def test_a_time_that_is_no_number_is_named(tmp_path):
    fls = FLSeries(images(3))
    fls[1]["time"] = "noon"
    with pytest.raises(SeriesError, match=r"frame 1 .*'noon'"):
        fls.times  # noqa: B018


def test_the_identifier_of_a_series_is_kept(tmp_path):
    with FLSeries(images(1), h5file=tmp_path / "s.h5", identifier="mito") as fls:
        assert fls.identifier == "mito"
        assert "mito" in repr(fls)
    with FLSeries(h5file=tmp_path / "s.h5", h5mode="r") as fls:
        assert fls.identifier == "mito"
    assert FLSeries(images(1)).identifier is None


def test_frames_share_a_background_by_hard_link(tmp_path):
    path = tmp_path / "s.h5"
    with FLSeries(h5file=path) as fls:
        first = FLImage(np.full((64, 64), 9.0))
        first.set_bg_data(np.random.default_rng(0).normal(3, 1, (64, 64)))
        fls.add_flimage(first)
        for _ in range(9):
            fls.add_flimage(FLImage(np.full((64, 64), 9.0)), bg_from_idx=0)
        for fli in fls:
            assert fli == first
        assert np.array_equal(fls.bg_fl[9].compute(), fls.bg_fl[0].compute())
        shared = fls.h5["fli_0/fluorescence/bg_data/data"]
        assert shared == fls.h5["fli_9/fluorescence/bg_data/data"]
        with pytest.raises(FrameNotFoundError):
            fls.add_flimage(first, bg_from_idx=20)
        assert len(fls) == 10


@pytest.mark.parametrize("background", [3, np.full((4, 6), 3.0), FLImage(np.full((4, 6), 3.0))])
def test_one_background_for_all_frames(fls, background):
    fls.set_bg_data(background)
    assert np.array_equal(fls.fl[:, 0, 0].compute(), np.arange(5) - 3)
    assert fls.h5["fli_0/fluorescence/bg_data/data"] == fls.h5["fli_4/fluorescence/bg_data/data"]
    fls[1:3].set_bg_data(None)
    assert np.array_equal(fls.fl[:, 0, 0].compute(), [-3, 1, 2, 0, 1])
    with pytest.raises(ParameterError, match="shape"):
        fls.set_bg_data(np.zeros((6, 4)))


def test_an_image_can_move_between_memory_and_disk(tmp_path):
    with FLSeries(h5file=tmp_path / "disk.h5") as disk, FLSeries() as memory:
        disk.add_flimage(images(1)[0])
        memory.add_flimage(disk[0])
        disk.add_flimage(memory[0], identifier="again")
        assert disk[0] == disk[1] == memory[0]
        assert disk.h5["fli_1/fluorescence/raw"].compression == "gzip"
        assert memory.h5["fli_0/fluorescence/raw"].compression is None


def test_a_single_image_is_no_series(tmp_path):
    with FLImage(np.ones((3, 3)), h5file=tmp_path / "image.h5"):
        pass
    with pytest.raises(SeriesError, match=r"FLImage\(h5file"):
        FLSeries(h5file=tmp_path / "image.h5", h5mode="r")


def test_a_series_open_for_reading_only_is_not_changed(series_path):
    before = series_path.read_bytes()
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        for change in (
            lambda: fls.add_flimage(FLImage(np.ones((3, 3)))),
            lambda: fls.set_bg_data(1),
            lambda: fls[0].set_bg_data(1),
            lambda: FLSeries(h5file=fls.h5, identifier="x"),
        ):
            with pytest.raises(FileReadOnlyError, match="read-only"):
                change()
        fls.fl.sum().compute()
    assert series_path.read_bytes() == before


def test_a_closed_series_says_so(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        view = fls[2:4]
    for use in (
        lambda: len(fls),
        lambda: fls[0],
        lambda: view[0],
        lambda: fls.applied_estimate,
        lambda: fls.add_flimage(FLImage(np.ones((3, 3)))),
    ):
        with pytest.raises(FileClosedError, match="closed: open it again"):
            use()
    assert repr(fls).endswith("closed")
    assert repr(view).endswith("closed")


def test_a_frame_of_a_closed_series_says_so(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        frame = fls[0]
    assert repr(frame).endswith("closed")
    for use in (
        lambda: frame.fl,
        lambda: frame["time"],
        lambda: frame.meta,
        lambda: "time" in frame,
        frame.copy,
        lambda: frame.copy(series_path.with_name("copy.h5")),
        lambda: FLSeries().add_flimage(frame),
    ):
        with pytest.raises(FileClosedError, match="closed: open it again"):
            use()
    assert not series_path.with_name("copy.h5").exists()


def changes(library, fls):
    """Return what a file that is open for reading only does not allow."""
    image, frame = library.FLImage(data=np.ones((5, 6))), fls[0]
    return [
        lambda: frame.__setitem__("time", 2.0),
        lambda: frame.set_bg_data(np.ones((5, 6))),
        lambda: fls.add_flimage(image),
        lambda: image.copy(frame.h5),
    ]


def uses(library, fls):
    """Return what only an open file allows, and close it."""
    image, frame = library.FLImage(data=np.ones((5, 6))), fls[0]
    fls.h5.close()
    return [
        lambda: len(fls),
        lambda: fls.identifier,
        lambda: fls[0],
        lambda: fls.add_flimage(image),
        lambda: frame.fl,
        lambda: frame["time"],
        lambda: frame.set_bg_data(None),
        lambda: frame.copy(),
    ]


def error_of(attempt):
    with pytest.raises((KeyError, ValueError)) as caught:
        attempt()
    return caught.type


@pytest.mark.parametrize("attempts", [changes, uses])
def test_what_scripts_catch_of_flimage_is_raised_of_a_file_that_is_read_only_or_closed(flimage, series_path, attempts):
    ours, theirs = (library.FLSeries(h5file=series_path, h5mode="r") for library in (flimage_dask, flimage))
    raised = [map(error_of, attempts(*what)) for what in ((flimage_dask, ours), (flimage, theirs))]
    for our_error, their_error in zip(*raised, strict=True):
        assert issubclass(our_error, their_error)
    ours.close()
    theirs.h5.close()


def test_frames_that_are_removed_through_h5py_are_forgotten(series_path):
    with FLSeries(h5file=series_path) as fls:
        before, names = fls.fl.compute(), fls.identifiers
        assert names[0] in fls
        assert fls.times[0] == 0
        meta = fls.meta
        del fls.h5["fli_0"]
        for number in range(1, 12):
            fls.h5.move(f"fli_{number}", f"fli_{number - 1}")
        assert np.array_equal(fls.fl.compute(), before[1:])
        assert fls[names[1]]["identifier"] == names[1]
        assert names[0] not in fls
        assert fls.meta["time"] == meta["time"][1:]
        assert fls.times.tolist() == meta["time"][1:]


def test_an_identifier_that_is_a_number_stays_one(tmp_path):
    with FLSeries(h5file=tmp_path / "series.h5") as fls:
        for number in range(1, 4):
            fls.add_flimage(FLImage(np.ones((4, 5))), identifier=number)
        fls.add_flimage(FLImage(np.ones((4, 5)), {"identifier": 7}))
        assert [image["identifier"] for image in fls] == [1, 2, 3, 7]
        assert max(image["identifier"] for image in fls) + 1 == 8
        assert fls.identifiers == ["1", "2", "3", "7"]
        assert fls[fls.identifiers[3]] == fls[3]
        assert 7 in fls
        with pytest.raises(SeriesError, match="'2' already exists"):
            fls.add_flimage(FLImage(np.ones((4, 5))), identifier=2)


@pytest.mark.parametrize("name", [np.str_("b"), b"b", np.bytes_(b"b")])
def test_an_identifier_is_text_however_it_is_written(tmp_path, name):
    with FLSeries(h5file=tmp_path / "series.h5") as fls:
        fls.add_flimage(FLImage(np.ones((4, 5))), identifier=name)
        assert fls.identifiers == ["b"]
        with pytest.raises(SeriesError, match="'b' already exists"):
            fls.add_flimage(FLImage(np.ones((4, 5))), identifier="b")


def test_an_identifier_that_came_through_h5py_is_not_given_again(tmp_path):
    with FLSeries([FLImage(np.ones((4, 5)), {"identifier": "a"})], h5file=tmp_path / "series.h5") as fls:
        assert "a" in fls
        fls.h5.copy(fls.h5["fli_0"], fls.h5, "fli_1")
        fls.h5["fli_1"].attrs["identifier"] = "x"
        fls.add_flimage(FLImage(np.ones((4, 5))))
        assert "x" in fls
        with pytest.raises(SeriesError, match="'x' already exists"):
            fls.add_flimage(FLImage(np.ones((4, 5)), {"identifier": "x"}))


def test_an_identifier_may_be_a_number(series_path):
    with FLSeries(h5file=series_path) as fls, FLSeries() as other:
        other.add_flimage(fls[0], identifier=5)
        assert 5 in other
        assert "5" in other
        other[0].h5.attrs["identifier"] = 7
    again = FLSeries()
    image = FLImage(np.ones((4, 5)))
    image.h5.attrs["identifier"] = 7
    again.add_flimage(image)
    assert 7 in again


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (np.array(["i0"], h5py.string_dtype()), "i0"),
        (np.bytes_(b"i0"), "i0"),
        (h5py.Empty("S1"), None),
        (np.array(["a", "b"], h5py.string_dtype()), "['a' 'b']"),
    ],
    ids=["an array of one text", "text of fixed length", "nothing", "several texts"],
)
def test_identifiers_that_other_programs_wrote_are_text(series_path, tmp_path, name, meant):
    with h5py.File(series_path, "a") as file:
        file["fli_3"].attrs["identifier"] = file.attrs["identifier"] = name
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        assert fls.identifiers[3] == fls[3].meta.get("identifier") == fls.identifier == meant
        assert ("identifier" in fls[3]) == (meant is not None)
        if meant is not None:
            assert meant in fls
            assert fls[meant] == fls[3]
        fls.background_correction(tmp_path / "out.h5", 4)
        with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
            assert out.identifiers == fls.identifiers


def test_an_image_of_flimage_is_named_as_one(flimage):
    with pytest.raises(ParameterError, match="of flimage_dask, not FLImage of flimage"):
        FLSeries().add_flimage(flimage.FLImage(np.ones((4, 5))))


def test_an_empty_series_has_no_shape_and_no_arrays():
    fls = FLSeries()
    assert len(fls) == 0
    assert list(fls) == []
    assert fls.times.shape == (0,)
    for ask in (lambda: fls.shape, lambda: fls.fl, lambda: fls.bleach_correction()):
        with pytest.raises(SeriesError, match="add_flimage"):
            ask()


@pytest.fixture
def gap_path(tmp_path, bleaching_frames):
    path = write_series_file(tmp_path / "gap.h5", *bleaching_frames)
    with h5py.File(path, "a") as file:
        del file["fli_1"]
    return path


def test_a_gap_is_one_clear_error(gap_path):
    with FLSeries(h5file=gap_path) as fls:
        assert len(fls) == 11
        for ask in (lambda: fls[1], lambda: fls.fl, lambda: fls.times, lambda: fls.add_flimage(FLImage([[1]]))):
            with pytest.raises(SeriesError, match=r"fli_1.*gap"):
                ask()
        assert fls[0].shape == (24, 30)


@pytest.mark.parametrize("lost", [[1], [5], [3, 4, 5, 6], [10]])
def test_a_gap_in_a_long_series_is_found_by_whatever_visits_all_frames(series_path, monkeypatch, lost):
    monkeypatch.setattr(layout, "_MANY_FRAMES", 0)
    with h5py.File(series_path, "a") as file:
        for number in lost:
            del file[f"fli_{number}"]
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        for ask in (lambda: list(fls), lambda: fls.raw_fl, lambda: fls.times, lambda: fls.meta, lambda: "a" in fls):
            with pytest.raises(SeriesError, match=rf"fli_{lost[0]}'.*gap"):
                ask()


@given(n_frames=st.integers(0, 200))
def test_a_long_series_is_counted_by_looking_for_its_last_frame(n_frames):
    with h5py.File("count", "w", driver="core", backing_store=False) as file:
        file.create_group("notes")
        for number in range(n_frames):
            file.create_group(layout.frame_name(number))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "_MANY_FRAMES", -1)
            patch.setattr(layout, "_count_all", lambda group: pytest.fail("all links were visited"))
            assert layout.count_frames(file) == n_frames


def test_the_first_frame_is_found_without_counting_the_others(series_path, monkeypatch):
    def refuse(group):
        raise AssertionError("counted")

    monkeypatch.setattr(store, "count_frames", refuse)
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        assert fls[0].shape == (FLImage(h5file=fls.h5["fli_0"])).shape
        with pytest.raises(AssertionError, match="counted"):
            fls[1]


def test_frames_of_unequal_shape_can_be_indexed_but_are_no_array(tmp_path):
    with FLSeries(images(3), h5file=tmp_path / "s.h5") as fls:
        fls.add_flimage(FLImage(np.ones((5, 6))))
        assert [fli.shape for fli in fls] == [(4, 6)] * 3 + [(5, 6)]
        with pytest.raises(SeriesError, match=r"frame 3 .*\(5, 6\).*\(4, 6\)"):
            fls.raw_fl  # noqa: B018
        assert fls[:3].raw_fl.shape == (3, 4, 6)
        assert fls[[3]].raw_fl.shape == (1, 5, 6)


def test_a_failed_addition_leaves_no_frame(tmp_path):
    broken = FLImage(np.ones((4, 6)))
    broken.h5["fluorescence/link"] = h5py.ExternalLink("missing.h5", "/x")
    with FLSeries(images(2), h5file=tmp_path / "s.h5") as fls:
        with pytest.raises(FileError, match=r"'link'.*leads nowhere"):
            fls.add_flimage(broken)
        assert len(fls) == 2
        assert fls.shape == (2, 4, 6)


def test_appending_does_not_read_all_identifiers_again(tmp_path, monkeypatch):
    reads = []
    monkeypatch.setattr("flimage_dask.store.read_column", lambda *args: reads.append(args) or [])
    with FLSeries(images(20), h5file=tmp_path / "s.h5"):
        pass
    assert len(reads) == 1


def test_a_file_open_for_writing_elsewhere_is_named(series_path, tmp_path):
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(series_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(FileError, match="elsewhere"):
            FLSeries(h5file=series_path, h5mode="r")
        other.stdin.close()
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        assert len(fls) == 12


def test_a_path_may_be_bytes_as_for_h5py(tmp_path):
    path = os.fsencode(tmp_path / "series.h5")
    with FLSeries([FLImage(np.ones((4, 6)))], h5file=path) as fls:
        assert fls.path == tmp_path / "series.h5"
    with FLSeries(h5file=path, h5mode="r") as fls:
        assert fls.fl.compute().shape == (1, 4, 6)
    with pytest.raises(ValueError, match="Did you mean h5file="):
        FLSeries(path)


def test_an_ellipsis_is_all_frames():
    fls = FLSeries([FLImage(np.full((4, 6), k)) for k in range(3)])
    assert np.array_equal(fls[...].fl.compute(), fls.fl.compute())


def test_pixels_are_not_reached_through_the_index_of_frames():
    fls = FLSeries([FLImage(np.ones((4, 6)))])
    with pytest.raises(ParameterError, match=r"frames only.*fls\.fl\[…\]"):
        fls[..., 1:5]


def test_an_index_may_be_an_array_of_one_number(fls):
    assert fls[np.array(1)] == fls[1]


@pytest.mark.skipif(sys.platform == "win32", reason="a folder that is in use cannot be left")
def test_a_file_that_was_opened_by_a_relative_name_is_found_from_another_folder(series_path, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(series_path.parent)
    with h5py.File(series_path.name, "a") as file:
        fls = FLSeries(h5file=file)
        expected = fls.fl.compute()
        monkeypatch.chdir(tmp_path / "elsewhere")
        fls[0]["time"] = -1.0
        assert np.array_equal(fls.fl.compute(), expected)
        assert fls.estimate_bleaching(4).background > 0


def test_a_background_is_set_for_all_frames_or_for_none(tmp_path):
    images = [FLImage(np.ones((4, 5))), FLImage(np.ones((4, 5))), FLImage(np.ones((3, 3)))]
    with FLSeries(images, h5file=tmp_path / "series.h5") as fls:
        with pytest.raises(ParameterError, match="shape"):
            fls.set_bg_data(np.full((4, 5), 0.5))
        assert not any(image.bg_fl.any() for image in fls)
