"""A series behind a URL, from opening to the corrected file: on a web server, in S3 and in memory."""

import io
import json

import fsspec
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from flimage_dask import FLImage, FLSeries, to_hdf5
from flimage_dask.cli import main
from flimage_dask.errors import FileChangedError, FileError, ParameterError
from flimage_dask.hdf5.layout import PROVENANCE

from .conftest import make_bleaching_frames, write_series_file


@pytest.fixture
def url(web, series_path):
    """Return a URL of the bleaching series on a web server, with a key."""
    web.files["series.h5"] = series_path.read_bytes()
    return f"{web.url}series.h5?key=secret"


@pytest.fixture(scope="module")
def s3_options():
    """Run a server that speaks S3 on this machine, and return how fsspec reaches it."""
    pytest.importorskip("s3fs", reason="s3 needs the extra 'remote'")
    server_of_moto = pytest.importorskip("moto.server", reason="the S3 server of moto is not installed")
    server = server_of_moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "key": "somebody",
        "secret": "secret",
        "client_kwargs": {"endpoint_url": f"http://{host}:{port}", "region_name": "eu-west-1"},
    }
    server.stop()


@pytest.fixture
def bucket(s3_options, monkeypatch):
    """Return a file system with an empty bucket ``cells``; fsspec's configuration knows how to reach it."""
    monkeypatch.setitem(fsspec.config.conf, "s3", s3_options)
    filesystem = fsspec.filesystem("s3")
    filesystem.mkdir("cells")
    yield filesystem
    filesystem.rm("cells", recursive=True)


def test_a_series_on_a_web_server_is_that_of_the_disk(url, series_path, bleaching_frames):
    frames, times = bleaching_frames
    with FLSeries(h5file=url, h5mode="r") as fls:
        assert fls.shape == frames.shape
        assert fls.identifier == "simulated"
        np.testing.assert_array_equal(fls.times, times)
        np.testing.assert_array_equal(fls.fl.compute(), frames)
        np.testing.assert_array_equal(fls[::-3].fl.compute(), frames[::-3])
        np.testing.assert_array_equal(fls["frame_5"].fl, frames[5])
        with FLSeries(h5file=series_path, h5mode="r") as local:
            assert fls.meta == local.meta


def test_a_series_in_s3_is_that_of_the_disk(bucket, series_path, bleaching_frames):
    bucket.pipe_file("cells/series.h5", series_path.read_bytes())
    with FLSeries(h5file="s3://cells/series.h5", h5mode="r") as fls:
        np.testing.assert_array_equal(fls.fl.compute(), bleaching_frames[0])
        assert fls.origin == "s3://cells/series.h5"


def test_options_are_given_with_an_open_file_of_fsspec(bucket, s3_options, series_path, bleaching_frames):
    bucket.pipe_file("cells/series.h5", series_path.read_bytes())
    with FLSeries(h5file=fsspec.open("s3://cells/series.h5", **s3_options), h5mode="r") as fls:
        np.testing.assert_array_equal(fls.fl.compute(), bleaching_frames[0])


def test_an_object_of_s3_that_was_replaced_is_refused(bucket, series_path, bleaching_frames):
    bucket.pipe_file("cells/series.h5", series_path.read_bytes())
    with FLSeries(h5file="s3://cells/series.h5", h5mode="r") as fls:
        bucket.ls("cells")  # from now on the file system remembers what it has seen
        np.testing.assert_array_equal(fls.fl.compute(), bleaching_frames[0])
        other = fsspec.filesystem("s3", **fsspec.config.conf["s3"], skip_instance_cache=True)
        other.pipe_file("cells/series.h5", series_path.read_bytes()[:-1] + b"x")
        with pytest.raises(FileChangedError, match=r"'s3://cells/series\.h5' changed"):
            fls.fl.compute()


def test_an_object_that_s3_does_not_have_is_named(bucket):
    with pytest.raises(FileError, match=r"'s3://cells/none\.h5' does not exist"):
        FLSeries(h5file="s3://cells/none.h5", h5mode="r")


@pytest.mark.parametrize("kind", ["web", "s3"])
def test_another_process_reads_the_url_itself(kind, request, series_path, bleaching_frames):
    if kind == "web":
        h5file = request.getfixturevalue("url")
    else:
        request.getfixturevalue("bucket").pipe_file("cells/series.h5", series_path.read_bytes())
        h5file = "s3://cells/series.h5"
    with FLSeries(h5file=h5file, h5mode="r") as fls:
        lazy = fls.fl
    found = lazy.compute(scheduler="processes", num_workers=1)

    np.testing.assert_array_equal(found, bleaching_frames[0])


def test_opening_reads_no_images(web, tmp_path):
    frames, times = make_bleaching_frames(40, shape=(200, 200))
    noise = np.random.default_rng(0).normal(size=frames.shape)
    path = write_series_file(tmp_path / "series.h5", frames + noise, times)
    web.files["series.h5"] = path.read_bytes()
    with FLSeries(h5file=web.url + "series.h5", h5mode="r") as fls:
        lazy = fls.fl
        fls.times.sum()
        n_requests = len(web.requests)
        np.testing.assert_array_equal(lazy[7].compute(), fls[7].fl)
        assert len(lazy) == 40
    assert n_requests < 2 * 40


def test_neighbouring_frames_are_fetched_with_one_request(url, web, bleaching_frames):
    with FLSeries(h5file=url, h5mode="r") as fls:
        lazy = fls.fl
        web.requests.clear()
        np.testing.assert_array_equal(lazy.compute(), bleaching_frames[0])

    assert [method for method, _, _ in web.requests] == ["GET", "HEAD"]


def test_equal_content_makes_equal_arrays_and_a_changed_file_others(url, web):
    def name():
        with FLSeries(h5file=url, h5mode="r") as fls:
            return fls.fl.name

    before = name()
    assert name() == before
    web.files["series.h5"] += b"more"
    assert name() != before


def test_a_corrected_series_knows_its_url_without_keys(url, tmp_path, series_path):
    output = tmp_path / "corrected.h5"
    with FLSeries(h5file=url, h5mode="r") as fls:
        fls.bleach_correction(output, border_px=4)
        to_hdf5(fls.fl, tmp_path / "copy.h5", like=fls)
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        fls.bleach_correction(tmp_path / "local.h5", border_px=4)
    with FLSeries(h5file=output, h5mode="r") as found, FLSeries(h5file=tmp_path / "local.h5", h5mode="r") as expected:
        np.testing.assert_array_equal(found.fl.compute(), expected.fl.compute())
    for path in (output, tmp_path / "copy.h5"):
        with h5py.File(path) as file:
            source = json.loads(file.attrs[PROVENANCE])["source"]
        assert source["file"] == url.removesuffix("?key=secret")
        assert source["identifier"] == "simulated"


def test_no_output_is_left_of_a_url_that_changed(url, web, tmp_path):
    with FLSeries(h5file=url, h5mode="r") as fls:
        len(fls.fl)
        web.files["series.h5"] = web.files["series.h5"][:-1] + b"x"
        with pytest.raises(FileChangedError):
            fls.bleach_correction(tmp_path / "corrected.h5", border_px=4)

    assert [path.name for path in tmp_path.iterdir()] == ["series.h5"]


def test_a_url_is_the_origin_of_a_series_and_no_path(url, web):
    with FLSeries(h5file=url, h5mode="r") as fls:
        assert fls.path is None
        assert fls.origin == f"{web.url}series.h5"
        assert f"'{web.url}series.h5'" in repr(fls)
        assert "secret" not in repr(fls)


def test_a_path_is_the_origin_of_a_series_on_a_disk(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        assert fls.origin == str(fls.path) == str(series_path)
    with FLSeries() as fls:
        assert fls.origin is None
        assert "in memory" in repr(fls)


def test_a_url_is_only_opened_for_reading(in_memory):
    with pytest.raises(ParameterError, match=r"'memory://series.h5' can only be read.*h5mode='r', not 'a'"):
        FLSeries(h5file=in_memory(b""))


def test_a_series_of_a_url_cannot_be_changed(in_memory, series_path):
    with (
        FLSeries(h5file=in_memory(series_path.read_bytes()), h5mode="r") as fls,
        pytest.raises(FileError, match=r"'memory://series\.h5' is open read-only"),
    ):
        fls.add_flimage(FLImage(data=np.ones((24, 30))))


def test_one_image_behind_a_url_is_opened_and_copied(in_memory, tmp_path):
    FLImage(data=np.arange(12.0).reshape(3, 4), h5file=tmp_path / "a.h5", meta_data={"time": 3.0}).close()
    with FLImage(h5file=in_memory((tmp_path / "a.h5").read_bytes()), h5mode="r") as image:
        np.testing.assert_array_equal(image.fl, np.arange(12.0).reshape(3, 4))
        assert image["time"] == 3
        image.copy(h5file=tmp_path / "a.h5")
    with FLImage(h5file=tmp_path / "a.h5", h5mode="r") as copied:
        np.testing.assert_array_equal(copied.fl, np.arange(12.0).reshape(3, 4))


def test_an_image_behind_a_url_does_not_show_a_file_of_this_disk(in_memory, tmp_path):
    (tmp_path / "private").write_bytes(bytes(range(96)))
    file_object = io.BytesIO()
    with h5py.File(file_object, "w") as file:
        file.create_dataset("fluorescence/raw", (3, 4), "f8", external=[(str(tmp_path / "private"), 0, 96)])
    with (
        FLImage(h5file=in_memory(file_object.getvalue()), h5mode="r") as image,
        pytest.raises(FileError, match="which a URL cannot reach"),
    ):
        image.raw_fl  # noqa: B018


def test_frames_of_a_url_are_added_to_a_series(in_memory, series_path, bleaching_frames):
    with (
        FLSeries(h5file=in_memory(series_path.read_bytes()), h5mode="r") as fls,
        FLSeries(list(fls[:3])) as copied,
    ):
        np.testing.assert_array_equal(copied.fl.compute(), bleaching_frames[0][:3])


# --- The command line.


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_line_describes_a_url(url, web):
    result = run("info", url, "--json")
    found = json.loads(result.stdout)

    assert result.exit_code == 0
    assert (found["file"], found["n_frames"]) == (f"{web.url}series.h5", 12)
    assert found["file_bytes"] == len(web.files["series.h5"])
    assert f"{web.url}series.h5: a series of 12 frames" in run("info", url).stdout


def test_the_command_line_corrects_a_url(url, web, tmp_path):
    result = run("correct", url, tmp_path / "corrected.h5", "--border", 4, "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["input"] == f"{web.url}series.h5"
    with FLSeries(h5file=tmp_path / "corrected.h5", h5mode="r") as fls:
        assert len(fls) == 12


def test_the_command_line_says_in_one_line_that_a_url_leads_nowhere(web):
    result = run("info", web.url + "none.h5")

    assert result.exit_code == 1
    assert result.stderr == f"flimage-dask: error: '{web.url}none.h5' does not exist.\n"
