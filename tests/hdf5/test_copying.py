"""Copies of images: all pixels, wherever they lie, or an error that says why not."""

import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries
from flimage_dask.errors import FileError, FrameDataError

COUNTS = np.full((6, 8), 7, np.float32)


def by_soft_link(group, name):
    group[name] = h5py.SoftLink("/pixels")


def by_external_link(group, name):
    group[name] = h5py.ExternalLink("pixels.h5", "pixels")


def virtually(group, name):
    layout = h5py.VirtualLayout(COUNTS.shape, COUNTS.dtype)
    layout[...] = h5py.VirtualSource("pixels.h5", "pixels", COUNTS.shape)
    group.create_virtual_dataset(name, layout)


def in_external_storage(group, name):
    storage = Path(group.file.filename).with_name("pixels.raw")
    group.create_dataset(name, COUNTS.shape, COUNTS.dtype, external=[(str(storage), 0, COUNTS.nbytes)])


ELSEWHERE = [by_soft_link, by_external_link, virtually, in_external_storage]


def write_frame(path, refer, factor):
    """Write a series of one frame whose images lie elsewhere, and these."""
    path.parent.mkdir()
    (COUNTS * factor).tofile(path.with_name("pixels.raw"))
    with h5py.File(path.with_name("pixels.h5"), "w") as beside:
        beside["pixels"] = COUNTS * factor
    with h5py.File(path, "w") as file:
        file["pixels"] = COUNTS * factor
        images = file.create_group("fli_0/fluorescence")
        refer(images, "raw")
        refer(images.create_group("bg_data"), "data")
    return path


def copy_into_series(fli, path):
    with FLSeries(h5file=path) as fls:
        fls.add_flimage(fli)


def copy_into_file(fli, path):
    fli.copy(path).close()


def copy_into_group(fli, path):
    with h5py.File(path, "a") as file:
        fli.copy(file.create_group("fli_1"))


COPIES = [copy_into_series, copy_into_file, copy_into_group]


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("refer", ELSEWHERE)
def test_a_copy_holds_the_pixels_of_its_image_wherever_these_lie(tmp_path, refer, copy):
    source = write_frame(tmp_path / "here" / "series.h5", refer, 1)
    other = write_frame(tmp_path / "there" / "series.h5", refer, 100)
    with FLSeries(h5file=source, h5mode="r") as fls:
        copy(fls[0], other)
    for file in tmp_path.glob("*/pixels.*"):
        file.unlink()
    with h5py.File(other, "r") as file:
        copied = file if copy is copy_into_file else file["fli_1"]
        for name in ("raw", "bg_data/data"):
            assert isinstance(copied["fluorescence"].get(name, getlink=True), h5py.HardLink)
            assert np.array_equal(copied["fluorescence"][name], COUNTS)


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("refer", [by_soft_link, by_external_link])
def test_a_link_that_leads_nowhere_is_not_copied(tmp_path, refer, copy):
    source = write_frame(tmp_path / "here" / "series.h5", refer, 1)
    other = write_frame(tmp_path / "there" / "series.h5", refer, 100)
    source.with_name("pixels.h5").unlink()
    with FLSeries(h5file=source) as fls:
        del fls.h5["pixels"]
        with pytest.raises(FileError, match=r"data' of '/fli_0.*' of '.*series\.h5' is a link that leads nowhere"):
            copy(fls[0], other)
    with FLSeries(h5file=other, h5mode="r") as fls:
        assert len(fls) == (2 if copy is copy_into_group else 1)


def write_damaged(path):
    """Write a series whose second frame has a wrong checksum."""
    with FLSeries([FLImage(np.full((6, 8), k)) for k in range(2)], h5file=path) as fls:
        dataset = fls.h5["fli_1/fluorescence/raw"]
        skipped, chunk = dataset.id.read_direct_chunk((0, 0))
        dataset.id.write_direct_chunk((0, 0), chunk[:-1] + bytes([chunk[-1] ^ 1]), skipped)


def test_a_copy_of_a_damaged_frame_names_file_and_frame(tmp_path):
    write_damaged(tmp_path / "series.h5")
    with FLSeries(h5file=tmp_path / "series.h5", h5mode="r") as fls, FLSeries() as in_memory:
        assert fls[0].copy() == fls[0]
        for copy in (fls[1].copy, lambda: in_memory.add_flimage(fls[1])):
            with pytest.raises(
                FrameDataError, match=r"'/fli_1/fluorescence/raw' of '.*series\.h5' cannot be read: .*Restore"
            ):
                copy()
        assert len(in_memory) == 0


COPY_TO_A_FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    import numpy as np
    from flimage_dask import FLImage, FLSeries
    from flimage_dask.errors import FileError

    folder = Path(sys.argv[1])
    in_memory = FLImage(np.random.default_rng(0).random((100, 100)))
    on_disk = in_memory.copy(folder / "image.h5")
    series = FLSeries(h5file=folder / "series.h5")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    def attempt(do):
        try:
            do()
        except FileError as error:
            print(error)

    for image in in_memory, on_disk:
        attempt(lambda: image.copy(folder / "copy.h5"))
        attempt(lambda: series.add_flimage(image))
    print(len(series))
    attempt(series.close)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_copy_that_finds_no_room_says_so(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(COPY_TO_A_FULL_DISK), tmp_path]
    run = subprocess.run(command, check=True, capture_output=True, text=True)

    no_room = (
        f"the output in '{tmp_path}' cannot be written: File too large. "
        "Nothing is left of it: make room, or write to another disk."
    )
    assert run.stdout.splitlines() == [
        *[no_room] * 4,
        "0",
        f"'{tmp_path / 'series.h5'}' did not reach the disk whole: File too large. It may be damaged: make room, and "
        "restore it from a copy or make it again.",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.h5", "series.h5"]
