"""Files that are damaged, or built as no program should: each is an error that names the file, in one line."""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from flimage_dask import FLImage, FLSeries
from flimage_dask.cli import main
from flimage_dask.errors import FlimageError

from .conftest import make_bleaching_frames

FRAMES, TIMES = make_bleaching_frames(5)
FLUORESCENCE, RAW, BACKGROUNDS = "fli_2/fluorescence", "fli_2/fluorescence/raw", "fli_2/fluorescence/bg_data"


def replaced(name, with_what):
    """Return what puts something else into the place of a group or a dataset."""

    def change(file):
        if name in file:
            del file[name]
        if callable(with_what):
            with_what(file)
        else:
            file[name] = with_what

    return change


MALFORMED = {
    "a frame that links to itself": replaced("fli_2", h5py.SoftLink("/fli_2")),
    "a frame that leads nowhere": replaced("fli_2", h5py.SoftLink("/nowhere")),
    "a frame that is a dataset": replaced("fli_2", np.ones((3, 3))),
    "a fluorescence that is a dataset": replaced(FLUORESCENCE, FRAMES[0]),
    "raw that is a group": replaced(RAW, lambda file: file.create_group(RAW)),
    "raw that leads nowhere": replaced(RAW, h5py.SoftLink("/nowhere")),
    "raw that is a number": replaced(RAW, np.float32(3)),
    "raw that is nothing": replaced(RAW, h5py.Empty("f4")),
    "raw that is text": replaced(RAW, np.full((24, 30), b"x")),
    "raw without pixels": replaced(RAW, np.zeros((0, 5), np.float32)),
    "raw that is larger than any memory": replaced(
        RAW, lambda file: file.create_dataset(RAW, shape=(1 << 22, 1 << 22), dtype="f4", chunks=(64, 64))
    ),
    "backgrounds that are a dataset": replaced(BACKGROUNDS, FRAMES[0]),
    "a background that leads nowhere": replaced(f"{BACKGROUNDS}/data", h5py.SoftLink("/nowhere")),
    "a background that is a group": replaced(f"{BACKGROUNDS}/data", lambda file: file.create_group(BACKGROUNDS + "/a")),
    "a background of another shape": replaced(f"{BACKGROUNDS}/data", np.ones((3, 3))),
    "a background that is text": replaced(f"{BACKGROUNDS}/data", np.full((24, 30), b"x")),
}


def write(path, change):
    with h5py.File(path, "w") as file:
        for number, frame in enumerate(FRAMES):
            file[f"fli_{number}/fluorescence/raw"] = frame
            file.create_group(f"fli_{number}/fluorescence/bg_data")
            file[f"fli_{number}"].attrs["time"] = float(number)
        change(file)
    return path


def errors_of(questions):
    """Ask, and return the messages of the errors of this package; let no other one pass."""
    messages = []
    for question in questions:
        try:
            question()
        except FlimageError as error:
            messages.append(str(error))
    return messages


def ask_all(path):
    """Ask a series and one of its frames for everything."""
    of_series, of_frame = ("times", "identifiers", "meta", "identifier", "shape"), ("fl", "raw_fl", "bg_fl", "info")
    with FLSeries(h5file=path, h5mode="r") as fls:
        return errors_of(
            [
                *(lambda name=name: getattr(fls, name) for name in of_series),
                *(lambda name=name: getattr(fls[2], name) for name in (*of_frame, "shape", "dtype", "meta")),
                *(lambda ask=ask: ask(fls[2]) for ask in (repr, FLImage.copy, lambda frame: frame == frame)),
                lambda: fls.fl.compute(),
                lambda: list(fls),
                lambda: fls.estimate_bleaching(4),
                lambda: "x" in fls,
            ]
        )


@pytest.mark.parametrize("what", MALFORMED)
def test_what_no_program_should_write_is_named(tmp_path, what):
    path = write(tmp_path / "a.h5", MALFORMED[what])
    messages = ask_all(path)
    assert messages
    assert all(str(path) in message for message in messages)


@pytest.mark.parametrize("what", MALFORMED)
def test_the_command_line_needs_one_line_for_it(tmp_path, what):
    path = write(tmp_path / "a.h5", MALFORMED[what])
    result = CliRunner().invoke(main, ["correct", str(path), str(tmp_path / "out.h5"), "--border", "4"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("flimage-dask: error: ")
    assert "a.h5" in line
    assert "--traceback" not in line


@pytest.mark.parametrize("marker", [b"TREE", b"HEAP", b"SNOD", b"fli_2\0", b"raw\0"])
def test_damage_anywhere_in_the_tables_of_a_file_is_named(tmp_path, marker):
    path = write(tmp_path / "a.h5", lambda file: None)
    whole, messages = path.read_bytes(), []
    place = whole.find(marker)
    while place >= 0:
        path.write_bytes(whole[:place] + b"XXXX" + whole[place + 4 :])
        try:
            messages += ask_all(path)
        except FlimageError as error:
            messages.append(str(error))
        result = CliRunner().invoke(main, ["info", str(path)])
        assert result.exit_code == 0 or "--traceback" not in result.stderr
        place = whole.find(marker, place + 1)
    assert messages
    assert all(str(path) in message for message in messages)


def test_damaged_backgrounds_of_an_image_are_not_taken_for_none(tmp_path):
    path = write(tmp_path / "a.h5", MALFORMED["a background that leads nowhere"])
    with FLSeries(h5file=path, h5mode="r") as fls, pytest.raises(FlimageError, match=r"a\.h5"):
        fls[2].bg_fl  # noqa: B018
