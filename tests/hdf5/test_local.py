"""Files on a disk, known by what they are and not by what they are called."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries, to_hdf5
from flimage_dask.errors import FileChangedError, FileError, OutputExistsError

from ..conftest import write_series_file


@pytest.fixture
def folders(tmp_path, bleaching_frames, monkeypatch):
    """Work in the folder `run1`, which holds a series as its neighbour `run2` does."""
    paths = [tmp_path / name / "series.h5" for name in ("run1", "run2")]
    for path in paths:
        path.parent.mkdir()
        write_series_file(path, *bleaching_frames)
    monkeypatch.chdir(paths[0].parent)
    return [path.parent for path in paths]


def open_by_path(h5mode):
    return FLSeries(h5file="series.h5", h5mode=h5mode)


def open_as_group(h5mode):
    return FLSeries(h5file=h5py.File("series.h5", h5mode))


WRITERS = [
    lambda fls, output: fls.bleach_correction(output, border_px=4, overwrite=True),
    lambda fls, output: fls.background_correction(output, border_px=4, overwrite=True),
    lambda fls, output: to_hdf5(fls.fl, output, like=fls, overwrite=True),
    lambda fls, output: fls[0].copy(output),
]


@pytest.mark.parametrize("write", WRITERS, ids=["bleaching", "background", "to_hdf5", "copy"])
@pytest.mark.parametrize("opened", [open_by_path, open_as_group])
def test_the_input_is_never_the_output_wherever_the_process_went(folders, opened, write):
    content = (folders[0] / "series.h5").read_bytes()
    fls = opened("r")
    os.chdir(folders[1])
    with pytest.raises(FileError, match="itself"):
        write(fls, "../run1/series.h5")
    fls.h5.file.close()
    assert (folders[0] / "series.h5").read_bytes() == content


@pytest.mark.parametrize("write", WRITERS, ids=["bleaching", "background", "to_hdf5", "copy"])
@pytest.mark.parametrize("opened", [open_by_path, open_as_group])
def test_a_file_of_the_name_of_the_input_in_another_folder_is_replaced(folders, opened, write):
    fls = opened("r")
    os.chdir(folders[1])
    replaced = Path("series.h5").stat().st_ino
    write(fls, "series.h5")
    fls.h5.file.close()
    assert Path("series.h5").stat().st_ino != replaced


@pytest.mark.parametrize("h5mode", ["r", "a"])
def test_a_series_stays_what_it_is_when_the_process_goes_elsewhere(folders, h5mode):
    with open_by_path(h5mode) as fls:
        frames = fls.raw_fl.compute()
        os.chdir(folders[1].parent)
        assert np.array_equal(fls.raw_fl.compute(), frames)
        fls.bleach_correction("corrected.h5", border_px=4)
        fls.bleach_correction("corrected.h5", border_px=4, overwrite=True)
        assert fls.path == folders[0] / "series.h5"


def test_a_relative_name_is_told_as_it_was_given_if_it_leads_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"^'missing\.h5' does not exist"):
        FLSeries(h5file="missing.h5", h5mode="r")


@pytest.mark.parametrize("driver", ["split", "family"])
def test_a_series_in_several_files_is_written_and_copied_elsewhere(tmp_path, driver):
    name = "series_%d.h5" if driver == "family" else "series"
    with h5py.File(tmp_path / name, "w", driver=driver) as file:
        fls = FLSeries([FLImage(np.full((24, 30), 9.0 - k), {"time": k}) for k in range(4)], h5file=file)
        for output in (tmp_path / "output.h5", tmp_path / "copy.h5"):
            shutil.copy(__file__, output)
        fls.histogram_matching(tmp_path / "output.h5", overwrite=True)
        copied = fls[1].copy(tmp_path / "copy.h5")
        assert copied == fls[1]
        copied.close()
    with FLSeries(h5file=tmp_path / "output.h5", h5mode="r") as written:
        assert len(written) == 4


def test_an_input_whose_name_another_file_took_is_refused_by_that_name_too(folders):
    with open_by_path("r") as fls:
        (folders[1] / "series.h5").replace("series.h5")
        with pytest.raises(OutputExistsError, match="itself"):
            fls.bleach_correction("series.h5", border_px=4, overwrite=True)


@pytest.mark.parametrize("opened", [open_by_path, open_as_group])
@pytest.mark.parametrize("loss", ["replaced", "removed"])
def test_nothing_is_added_to_a_file_that_is_no_longer_under_its_path(folders, opened, loss):
    fls = opened("a")
    image = FLImage(np.ones(fls.shape[1:]))
    os.chdir(folders[1])
    fls.add_flimage(image)
    n_frames = len(fls)
    if loss == "replaced":
        Path("series.h5").replace(folders[0] / "series.h5")
    else:
        (folders[0] / "series.h5").unlink()
    with pytest.raises(FileChangedError, match=r"run1/series\.h5' was removed or replaced while it was open"):
        fls.add_flimage(image)
    assert len(fls) == n_frames
    fls.h5.file.close()
