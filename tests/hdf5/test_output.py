"""An output appears whole or not at all, whatever goes wrong."""

import errno
import io
import os
import stat
import subprocess
import sys
import textwrap
from collections import namedtuple
from pathlib import Path

import dask.array as da
import fsspec
import h5py
import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries, to_hdf5
from flimage_dask.errors import FileError, FileLockedError, OutputExistsError, ParameterError, SeriesError
from flimage_dask.hdf5 import output as output_module
from flimage_dask.hdf5.output import check_output, check_space, open_output


class ExpectedError(Exception):
    """An error in the middle of writing."""


@pytest.fixture
def target(tmp_path):
    """Return the path of an output in an empty folder."""
    return tmp_path / "out.h5"


@pytest.fixture
def old(target):
    """Return the path of an output that exists."""
    target.write_bytes(b"old")
    return target


def fail_while_writing(output, kind):
    """Write frames out of order, with gaps, until something goes wrong."""
    with open_output(output, overwrite=True) as group:
        for number in (0, 1, 7):
            group[f"fli_{number}/fluorescence/raw"] = 1
        group.attrs["flimage_dask"] = "{}"
        raise kind


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_output_appears_under_its_name_alone(target):
    with open_output(target, overwrite=False) as group:
        group["frame"] = np.arange(5)
        assert not target.exists()

    assert names_in(target.parent) == ["out.h5"]
    with h5py.File(target) as file:
        np.testing.assert_array_equal(file["frame"], np.arange(5))


@pytest.mark.parametrize("kind", [ExpectedError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_an_output_that_fails(target, kind):
    with pytest.raises(kind):
        fail_while_writing(target, kind)

    assert names_in(target.parent) == []


@pytest.mark.parametrize("kind", [ExpectedError, KeyboardInterrupt])
def test_the_old_output_stays_if_the_new_one_fails(old, kind):
    with pytest.raises(kind):
        fail_while_writing(old, kind)

    assert names_in(old.parent) == ["out.h5"]
    assert old.read_bytes() == b"old"


def test_the_old_output_stays_until_the_new_one_is_whole(old):
    with open_output(old, overwrite=True) as group:
        group["frame"] = np.arange(5)
        group.file.flush()
        assert old.read_bytes() == b"old"

    assert h5py.is_hdf5(old)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX brings folders to the disk")
@pytest.mark.parametrize("refused", ["open", "fsync"])
def test_an_output_is_whole_in_a_folder_that_cannot_be_brought_to_the_disk(target, monkeypatch, refused):
    # As in a folder to drop files in, which may not be listed, or on file systems such as CIFS and FUSE.
    brought = getattr(os, refused)

    def refuse(place, *more):
        if (os.fstat(place) if refused == "fsync" else Path(place).stat()).st_mode & stat.S_IFDIR:
            raise OSError(errno.EINVAL, "Invalid argument")
        return brought(place, *more)

    monkeypatch.setattr(os, refused, refuse)
    with open_output(target, overwrite=False) as group:
        group["frame"] = np.arange(5)

    assert names_in(target.parent) == ["out.h5"]


def test_an_output_that_appears_meanwhile_is_not_replaced(target):
    with (
        pytest.raises(OutputExistsError, match="appeared while it was being written"),
        open_output(target, overwrite=False),
    ):
        target.write_bytes(b"theirs")

    assert names_in(target.parent) == ["out.h5"]
    assert target.read_bytes() == b"theirs"


def test_a_file_that_the_caller_closed_is_no_output(target):
    with open_output(target, overwrite=False) as group:
        group["frame"] = np.arange(5)
        group.file.close()

    assert h5py.is_hdf5(target)


def test_through_a_link_the_file_that_it_leads_to_is_replaced(tmp_path, old):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.h5"
    link.symlink_to(old)

    with open_output(link, overwrite=True) as group:
        assert Path(group.file.filename).parent == old.parent

    assert link.is_symlink()
    assert h5py.is_hdf5(old)


def test_a_relative_output_is_written_where_it_was_meant(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with open_output("out.h5", overwrite=False):
        monkeypatch.chdir(tmp_path / "other")

    assert names_in(tmp_path) == ["other", "out.h5"]
    assert names_in(tmp_path / "other") == []


# --- Outputs that are refused before any work.


def test_an_existing_output_is_refused_unless_it_may_be_replaced(old):
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        check_output(old, None, overwrite=False)
    check_output(old, None, overwrite=True)


@pytest.mark.parametrize("link", ["itself", "symlink", "hard link", "detour"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_input_is_never_the_output(tmp_path, old, link, overwrite):
    output = tmp_path / "other.h5"
    if link == "symlink":
        output.symlink_to(old)
    elif link == "hard link":
        output.hardlink_to(old)
    elif link == "detour":
        output = tmp_path / ".." / tmp_path.name / old.name
    else:
        output = old

    with pytest.raises(OutputExistsError, match="is the input itself"):
        check_output(output, old, overwrite=overwrite)


def test_an_output_beside_the_input_is_accepted(old):
    check_output(old.with_name("new.h5"), old, overwrite=False)
    check_output(str(old.with_name("new.h5")), None, overwrite=False)


def test_an_output_whose_folder_is_missing_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"folder .*nowhere' of the output 'out.h5' does not exist"):
        check_output(tmp_path / "nowhere" / "out.h5", None, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_no_output(tmp_path, overwrite):
    with pytest.raises(FileError, match="is a folder"):
        check_output(tmp_path, None, overwrite=overwrite)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nothing that is open can be replaced")
def test_a_file_that_is_open_for_writing_is_not_replaced(tmp_path):
    path, link = tmp_path / "open.h5", tmp_path / "link.h5"
    link.symlink_to(path)
    with FLSeries(h5file=path, h5mode="w") as fls:
        for output in (path, link):
            with pytest.raises(FileLockedError, match=r"open for writing.*close it first"):
                to_hdf5(da.zeros((4, 8, 8)), output, overwrite=True)
        fls.add_flimage(FLImage(np.ones((8, 8))))
    with FLSeries(h5file=path, h5mode="r") as fls:
        assert len(fls) == 1
        to_hdf5(da.zeros((4, 8, 8)), path, overwrite=True)
    with FLSeries(h5file=path, h5mode="r") as fls:
        assert len(fls) == 4


def test_a_file_that_is_open_without_a_lock_is_not_replaced(tmp_path):
    with h5py.File(tmp_path / "open.h5", "w", locking=False), pytest.raises(FileLockedError, match="open for writing"):
        check_output(tmp_path / "open.h5", None, overwrite=True)
    check_output(tmp_path / "open.h5", None, overwrite=True)


def test_a_file_that_another_process_writes_is_not_replaced(tmp_path):
    path = tmp_path / "open.h5"
    code = f"import h5py, sys; file = h5py.File({str(path)!r}, 'w'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(FileLockedError, match="open for writing"):
            check_output(path, None, overwrite=True)
        other.stdin.close()


@pytest.mark.skipif(os.name != "posix", reason="names are of POSIX")
@pytest.mark.parametrize(("n_bytes", "problem"), [(243, "has 243 bytes.*237 at most"), (260, "File name too long")])
def test_a_name_that_is_too_long_is_refused(tmp_path, n_bytes, problem):
    with pytest.raises(FileError, match=f"{problem}.*hoose a"):
        to_hdf5(da.zeros((4, 8, 8)), tmp_path / "x".ljust(n_bytes, "x"))
    to_hdf5(da.zeros((4, 8, 8)), tmp_path / "x".ljust(237, "x"))


@pytest.mark.skipif(os.name != "posix", reason="links are of POSIX")
def test_a_link_that_leads_to_itself_is_no_output(tmp_path):
    (tmp_path / "loop.h5").symlink_to(tmp_path / "loop.h5")
    with pytest.raises(FileError, match="Too many levels of symbolic links"):
        to_hdf5(da.zeros((4, 8, 8)), tmp_path / "loop.h5", overwrite=True)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="this system has no devices in its file system")
def test_a_device_is_no_output():
    with pytest.raises(FileError, match="device"):
        check_output("/dev/null", None, overwrite=True)


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/out.h5", fsspec.open("memory://out.h5", "wb")], ids=["text", "opened"]
)
def test_an_output_that_is_a_url_is_refused(url):
    with pytest.raises(ParameterError, match=r"'\w+://[\w/]*out.h5' is a URL, which can only be read"):
        check_output(url, None, overwrite=False)


def test_an_output_that_is_neither_path_nor_group_is_refused():
    with pytest.raises(ParameterError, match="not BytesIO"):
        check_output(io.BytesIO(), None, overwrite=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user can write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(FileError, match="cannot be written to"):
        check_output(tmp_path / "out.h5", None, overwrite=False)


def test_a_folder_that_vanishes_is_named(tmp_path):
    with (
        pytest.raises(FileError, match="cannot be written: No such file"),
        open_output(tmp_path / "gone" / "out.h5", overwrite=False),
    ):
        pass


# --- Open groups.


@pytest.fixture
def file(tmp_path):
    """Open a file with an empty group that has an attribute."""
    with h5py.File(tmp_path / "groups.h5", "w") as file:
        file.create_group("empty").attrs["identifier"] = "mine"
        yield file


def test_an_empty_group_is_written_in_place(file):
    check_output(file["empty"], None, overwrite=False)
    with open_output(file["empty"], overwrite=False) as group:
        group["fli_0"] = 1

    assert list(file["empty"]) == ["fli_0"]


@pytest.mark.parametrize("kind", [ExpectedError, KeyboardInterrupt])
def test_a_group_is_emptied_on_failure(file, kind):
    with pytest.raises(kind):
        fail_while_writing(file["empty"], kind)

    assert list(file["empty"]) == []
    assert dict(file["empty"].attrs) == {"identifier": "mine"}


def test_a_group_whose_file_was_closed_shows_the_first_error(file):
    def close_and_fail():
        with open_output(file["empty"], overwrite=False):
            file.close()
            raise ExpectedError

    with pytest.raises(ExpectedError):
        close_and_fail()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_group_that_holds_something_is_refused(file, overwrite):
    with pytest.raises(OutputExistsError, match="not empty"):
        check_output(file, None, overwrite=overwrite)


def test_a_group_that_is_open_for_reading_is_refused(file):
    path = file.filename
    file.close()
    with h5py.File(path) as reading, pytest.raises(FileError, match="read-only"):
        check_output(reading["empty"], None, overwrite=False)


def test_a_closed_group_is_refused(file):
    group = file["empty"]
    file.close()

    with pytest.raises(SeriesError, match="closed"):
        check_output(group, None, overwrite=False)


# --- Full disks.


def test_an_output_must_fit_its_disk(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(output_module.shutil, "disk_usage", lambda folder: usage(10**12, 0, 10**9))

    check_space(tmp_path, 10**9)
    with pytest.raises(FileError, match=r"needs about 1\.86 GiB.* has 0\.93 GiB left"):
        check_space(tmp_path, 2 * 10**9)
    monkeypatch.setattr(output_module.shutil, "disk_usage", lambda folder: usage(10**6, 0, 2048))
    with pytest.raises(FileError, match=r"needs about 4\.88 kiB.* has 2\.00 kiB left"):
        check_space(tmp_path, 5000)


WRITE_TO_A_FULL_DISK = """
    import os, resource, signal, sys
    from pathlib import Path
    import dask.array as da, numpy as np
    from flimage_dask import to_hdf5
    from flimage_dask.errors import FileError

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    target, share = Path(sys.argv[1]), float(sys.argv[2])
    frames = da.from_array(np.random.default_rng(0).random((40, 32, 32), dtype=np.float32), chunks=(8, -1, -1))

    whole = target.with_name("whole.h5")
    to_hdf5(frames, whole)
    limit = int(share * whole.stat().st_size)
    whole.unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        to_hdf5(frames, target, overwrite=True)
    except FileError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on the size of files")
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.9, 0.999])
def test_nothing_is_left_of_an_output_that_no_longer_fits(old, share):
    command = [sys.executable, "-c", textwrap.dedent(WRITE_TO_A_FULL_DISK), old, str(share)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)

    assert run.stdout == (
        f"the output in '{old.parent}' cannot be written: File too large. "
        "Nothing is left of it: make room, or write to another disk.\n"
    )
    assert run.stderr == ""
    assert names_in(old.parent) == ["out.h5"]
    assert old.read_bytes() == b"old"


def test_what_keeps_an_output_from_being_written_is_caught_as_in_flimage(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="make it first"):
        check_output(tmp_path / "none" / "out.h5", None, overwrite=False)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_output(tmp_path, None, overwrite=True)
    monkeypatch.setattr(os, "access", lambda place, mode: False)  # the superuser may write anywhere
    with pytest.raises(PermissionError, match="cannot be written to"):
        check_output(tmp_path / "out.h5", None, overwrite=False)
