import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import suppress

import h5py
import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from flimage_dask import (
    FLImage,
    FLSeries,
    FrameBackground,
    Profile,
    RollingBall,
    TimePercentile,
    __version__,
    to_hdf5,
)
from flimage_dask.cli import main
from flimage_dask.hdf5.parts import PartFolder
from flimage_dask.simulate import Simulation

from .conftest import write_series_file

N_FRAMES = 24


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a series file that nobody may change."""
    simulation = Simulation(n_frames=N_FRAMES, frame_shape=(72, 64), frame_interval=4)
    path = tmp_path_factory.mktemp("recorded") / "series.h5"
    to_hdf5(simulation.lazy(), path, times=simulation.times, identifier="cells", progress=False)
    return path


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    """Return a series that takes a second or so to correct."""
    path = tmp_path_factory.mktemp("long") / "recorded.h5"
    simulation = Simulation(n_frames=2000, frame_shape=(128, 128))
    to_hdf5(simulation.lazy(), path, times=simulation.times)
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.h5"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def failed(code, *arguments):
    """Run a command that must fail with one line, and return this line."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("flimage-dask: error: ")
    return line


@pytest.fixture
def start():
    """Return what starts the command as a process of its own, which ends with the test at the latest."""
    # Whoever runs tests in the background may have told their processes to ignore Ctrl-C.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + (
        "from flimage_dask.cli import main; main()"
    )
    processes = []

    def start_command(*arguments, **options):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", **options))
        return processes[-1]

    yield start_command
    for process in processes:
        process.kill()
        process.communicate()


# help and version


def test_without_a_command_the_help_is_shown():
    result = run()
    assert result.exit_code == 0
    assert "Usage: flimage-dask" in result.stdout


@pytest.mark.parametrize("command", ["info", "estimate", "correct", "background", "match", "denoise", "demo"])
def test_each_command_has_help_with_examples(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Examples:\n    flimage-dask {command}" in result.stdout


def test_the_version_is_shown():
    assert run("--version").stdout.strip().endswith(__version__)


# info


def test_info_says_what_is_in_a_file(recorded):
    result = run("info", recorded)
    assert result.exit_code == 0
    assert f"a series of {N_FRAMES} frames" in result.stdout
    assert "72 x 64 px" in result.stdout


def test_info_as_json_is_one_object(recorded):
    found = json.loads(run("info", recorded, "--json").stdout)
    assert (found["n_frames"], found["identifier"]) == (N_FRAMES, "cells")


def test_info_does_not_touch_the_file(recorded):
    before = recorded.read_bytes(), recorded.stat().st_mtime_ns
    run("info", recorded)
    assert (recorded.read_bytes(), recorded.stat().st_mtime_ns) == before


def test_a_missing_file_is_a_failure_of_the_data(tmp_path):
    assert "does not exist" in failed(1, "info", tmp_path / "none.h5")


# correct


def test_correct_writes_what_the_library_computes(recorded, out):
    result = run("correct", recorded, out)
    assert result.exit_code == 0
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as corrected:
        assert np.array_equal(corrected.fl.compute(), fls.bleach_corrected().compute())


def test_correct_says_what_it_found_and_how_it_went(recorded, out):
    text = run("correct", recorded, out).stdout
    for words in ("24 frames of 72 x 64 px", "counts", "half-life", "largest factor", "R2", "MB/s", "peak memory"):
        assert words in text


def test_correct_as_json_is_one_object(recorded, out):
    found = json.loads(run("correct", recorded, out, "--json").stdout)
    assert found["n_frames"] == N_FRAMES
    assert found["file_bytes"] == out.stat().st_size
    assert found["estimate"]["half_life"] == pytest.approx(Simulation().half_life, rel=0.2)
    assert found["peak_memory_bytes"] > 0


def test_the_compression_is_that_of_the_pixels_as_they_are_stored(recorded, out):
    found = json.loads(run("correct", recorded, out, "--dtype", "int16", "--json").stdout)
    assert found["uncompressed_bytes"] == N_FRAMES * 72 * 64 * 2
    assert found["input"] == str(recorded)


def test_correct_does_not_touch_its_input(recorded, out):
    before = recorded.read_bytes(), recorded.stat().st_mtime_ns
    run("correct", recorded, out)
    assert (recorded.read_bytes(), recorded.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--border", 10], {"border_px": 10}),
        (["--background", "per-frame"], {"background": "per-frame"}),
        (["--background", 107.5], {"background": 107.5}),
        (["--frame-interval", 0.25], {"frame_interval": 0.25}),
        (["--model", "stretched"], {"model": "stretched"}),
        (["--model", "auto", "--robust"], {"model": "auto", "robust": True}),
        (["--model", "ratio", "--max-factor", 99], {"model": "ratio", "max_factor": 99}),
        (["--correction", "additive"], {"correction": "additive"}),
        (
            ["--parameter", "rate=0.02", "--parameter", "amplitude=1e6", "--parameter", "offset=1e5"],
            {"parameters": {"rate": 0.02, "amplitude": 1e6, "offset": 1e5}},
        ),
        (["--trace", "percentile-99"], {"trace": "percentile-99"}),
        (["--trace", "mean", "--background", "constant"], {"trace": "mean", "background": "constant"}),
        (["--exclude", "10:12,3", "--exclude", -1], {"exclude": [3, 10, 11, 23]}),
        (["--background", "per-frame-median"], {"background": FrameBackground("median")}),
        (["--background", "tilt-mode", "--border", 9], {"background": Profile("tilt", "mode"), "border_px": 9}),
        (["--background", "over-time-2"], {"background": TimePercentile(2)}),
        (["--background", "poly2o", "--dark", 3], {"background": Profile("poly2o"), "dark": 3}),
    ],
)
@pytest.mark.filterwarnings("ignore:the correction factor reaches")
def test_options_of_correct_are_arguments_of_the_library(recorded, out, options, arguments):
    assert run("correct", recorded, out, *options).exit_code == 0
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as corrected:
        assert np.array_equal(corrected.fl.compute(), fls.bleach_corrected(**arguments).compute())


@pytest.mark.parametrize(
    ("option", "frames"), [("2:20:3", slice(2, 20, 3)), ("::2", slice(None, None, 2)), ("-10:", slice(-10, None))]
)
def test_correct_takes_a_slice_of_frames(recorded, out, option, frames):
    assert run("correct", recorded, out, "--frames", option).exit_code == 0
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as corrected:
        assert corrected.times.tolist() == fls.times[frames].tolist()


def test_an_output_that_exists_is_kept(recorded, out):
    out.write_text("precious")
    assert "--overwrite" in failed(1, "correct", recorded, out)
    assert out.read_text() == "precious"


def test_an_output_that_exists_is_replaced_on_request(recorded, out):
    out.write_text("old")
    assert run("correct", recorded, out, "--overwrite").exit_code == 0
    with FLSeries(h5file=out, h5mode="r") as corrected:
        assert len(corrected) == N_FRAMES


def test_the_input_is_never_replaced(recorded):
    before = recorded.read_bytes()
    assert "input itself" in failed(1, "correct", recorded, recorded, "--overwrite")
    assert recorded.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--border", 50], "--border 50"),
        (["--frames", "90:"], "--frames 90: chooses none of the 24 frames"),
        (["--frames", "7"], "first:end:step"),
        (["--frames", "::0"], "first:end:step"),
        (["--frames", "a:b"], "first:end:step"),
        (["--background", "median"], "neither 'constant', 'per-frame'"),
        (["--background", "nan"], "neither 'constant', 'per-frame'"),
        (["--background", "per-frame-best"], "statistic='best'"),
        (["--background", "rolling-ball-0"], "radius=0.0"),
        (["--background", "over-time-101"], "percent=101.0"),
        (["--background", "3", "--background-region", "frame"], "'3' has no region: leave out --background-region"),
        (["--background-region", "frame"], "goes with --background per-frame or a profile"),
        (["--frame-interval", "-1"], "--frame-interval -1.0 must be a positive"),
        (["--bordr", 3], "--bordr"),
        (["--model", "cubic"], "'cubic'"),
        (["--parameter", "rate"], "not of the form NAME=VALUE"),
        (["--parameter", "rate=1"], "--parameter has rate"),
        (["--max-factor", 0.5], "--max-factor 0.5"),
        (["--trace", "max"], "'positive_sum', 'mean'"),
        (["--dtype", "complex64"], "--dtype complex64"),
        (["--exclude", "x"], "neither a frame nor a slice"),
        (["--exclude", "99"], "--exclude names 99"),
    ],
)
def test_a_wrong_option_is_a_wrong_command_line(recorded, out, options, reason):
    assert reason in failed(2, "correct", recorded, out, *options)
    assert list(out.parent.iterdir()) == []


def test_a_missing_argument_points_to_the_help(recorded):
    assert "flimage-dask correct --help" in failed(2, "correct", recorded)


def test_an_unknown_command_is_a_wrong_command_line():
    assert "'fly'" in failed(2, "fly")


def test_too_few_frames_are_a_failure_of_the_data(recorded, out):
    assert "at least 3 frames" in failed(1, "correct", recorded, out, "--frames", ":2")
    assert list(out.parent.iterdir()) == []


def test_an_estimate_keeps_to_the_memory_it_is_given(recorded, monkeypatch):
    asked, real = [], FLSeries.estimate_bleaching
    monkeypatch.setattr(FLSeries, "estimate_bleaching", lambda *a, **k: asked.append(k["memory"]) or real(*a, **k))
    assert run("estimate", recorded, "--memory", "100 MiB").exit_code == 0
    assert run("estimate", recorded).exit_code == 0
    assert asked == ["100 MiB", None]
    assert "give at least" in run("estimate", recorded, "--memory", "1 MiB").stderr


@pytest.mark.parametrize("frames", [[], ["--frames", ":3"]], ids=["all", "some"])
@pytest.mark.parametrize("command", ["estimate", "correct", "background", "match", "denoise"])
def test_a_file_without_frames_is_an_error_in_words_of_the_command_line(tmp_path, out, command, frames):
    h5py.File(tmp_path / "empty.h5", "w").close()
    outputs = [] if command == "estimate" else [out]
    reason = failed(1, command, tmp_path / "empty.h5", *outputs, *frames)
    assert f"'{tmp_path / 'empty.h5'}' holds no frames (fli_0, fli_1, …): give another file" in reason
    assert "flimage-dask info FILE" in reason
    assert "add_flimage" not in reason
    assert not out.exists()


def test_a_series_without_times_names_the_option_that_helps(tmp_path, out):
    to_hdf5(Simulation(n_frames=6, frame_shape=(64, 64)).lazy(), tmp_path / "no_times.h5", progress=False)
    assert "--frame-interval SECONDS" in failed(1, "correct", tmp_path / "no_times.h5", out)
    assert not out.exists()


def test_a_time_that_is_no_number_names_ways_out_that_there_are(recorded, out, tmp_path):
    path = shutil.copy(recorded, tmp_path / "in.h5")
    with h5py.File(path, "a") as file:
        file["fli_3"].attrs["time"] = "3 s"
    line = failed(1, "correct", path, out, "--border", 4)
    assert "frame 3" in line
    assert line.endswith("give --frame-interval SECONDS, or set fls[3]['time'] in Python.")
    assert run("correct", path, out, "--border", 4, "--frame-interval", 1).exit_code == 0


def test_a_single_image_cannot_be_corrected_as_a_series(shared_data, out):
    assert "single image" in failed(1, "correct", shared_data / "retina_p10.h5", out)


def test_a_warning_is_one_line_and_does_not_spoil_the_json(shared_data, out):
    result = run("correct", shared_data / "mito_series.h5", out, "--json")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("flimage-dask: warning: the correction factor reaches 15.61")
    assert json.loads(result.stdout)["estimate"]["largest_factor"] == pytest.approx(15.611, abs=1e-3)


def test_warnings_of_others_are_left_alone(recorded, out, monkeypatch):
    def warn(*arguments, **options):
        warnings.warn("of somebody else", UserWarning, stacklevel=2)

    monkeypatch.setattr(FLSeries, "denoise", warn)
    result = CliRunner().invoke(main, ["denoise", str(recorded), str(out)])
    assert isinstance(result.exception, UserWarning)  # as the settings of these tests have it


def test_correct_applies_an_estimate_that_was_written(recorded, out):
    assert run("estimate", recorded, "--model", "auto", "--json", out.with_suffix(".json")).exit_code == 0
    assert run("correct", recorded, out, "--estimate", out.with_suffix(".json")).exit_code == 0
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as corrected:
        assert np.array_equal(corrected.fl.compute(), fls.bleach_corrected(model="auto").compute())


@pytest.mark.parametrize(
    ("content", "code", "reason"), [(None, 1, "No such file"), ("{}", 2, "a JSON object with 'format'")]
)
def test_what_is_no_estimate_is_refused(recorded, out, content, code, reason):
    if content is not None:
        out.with_suffix(".json").write_text(content)
    assert reason in failed(code, "correct", recorded, out, "--estimate", out.with_suffix(".json"))
    assert not out.exists()


def test_an_estimate_of_another_channel_takes_the_background_of_this_one(recorded, out):
    run("estimate", recorded, "--json", out.with_suffix(".json"))
    assert run("correct", recorded, out, "--estimate", out.with_suffix(".json"), "--background", 90).exit_code == 0
    with FLSeries(h5file=out, h5mode="r") as corrected:
        assert corrected.applied_estimate.background == 90


def test_an_estimate_of_another_number_of_frames_is_refused(recorded, out):
    run("estimate", recorded, "--frames", ":10", "--json", out.with_suffix(".json"))
    assert "factors for 10 frames" in failed(2, "correct", recorded, out, "--estimate", out.with_suffix(".json"))


# estimate


def test_estimate_says_what_the_library_finds(recorded):
    text = run("estimate", recorded, "--model", "auto", "--exclude", "3:5").stdout
    for words in ("24 frames, bleaching", "half-life", "68 %", "R2", "excluded         2 frames"):
        assert words in text


def test_estimate_writes_json_and_picture_and_nothing_else(recorded, tmp_path):
    before = recorded.read_bytes()
    files = tmp_path / "found.json", tmp_path / "found.png"
    result = run("estimate", recorded, "--model", "biexponential", "--json", files[0], "--plot", files[1])
    assert result.exit_code == 0
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert recorded.read_bytes() == before
    found = json.loads(files[0].read_text())
    assert found["model"] == "biexponential"
    assert {"parameters", "r2", "aicc", "arrays"} <= found.keys()
    assert str(files[1]) in result.stdout


@pytest.mark.parametrize("file", ["series.h5", "notes.txt"])
def test_estimate_replaces_nothing_but_json(recorded, tmp_path, file):
    (path := tmp_path / file).write_bytes(recorded.read_bytes())
    assert "does not end in .json" in failed(2, "estimate", recorded, "--json", path)
    assert path.read_bytes() == recorded.read_bytes()


def test_an_estimate_is_applied_as_it_is(recorded, out, tmp_path):
    run("estimate", recorded, "--json", tmp_path / "known.json")
    line = failed(2, "correct", recorded, out, "--estimate", tmp_path / "known.json", "--max-factor", 1.5)
    assert "--max-factor" in line
    assert not out.exists()


def test_only_the_pixels_of_a_mask_count(recorded, tmp_path):
    mask = np.zeros((72, 64), np.uint8)
    mask[20:40, 20:40] = 255
    np.save(tmp_path / "mask.npy", mask)
    found = json.loads(
        run("estimate", recorded, "--trace", "mean", "--mask", tmp_path / "mask.npy", "--json", "-").stdout
    )
    with FLSeries(h5file=recorded, h5mode="r") as fls:
        expected = fls.estimate_bleaching(trace="mean", mask=mask > 0)
    assert found["trace_kind"] == "mean of a mask of 400 px"
    assert found["arrays"]["trace"] == expected.trace.tolist()


@pytest.mark.parametrize("content", ["no array", ""])
def test_a_mask_that_is_none_is_refused(recorded, tmp_path, content):
    (tmp_path / "mask.npy").write_text(content)
    assert "numpy.save" in failed(2, "estimate", recorded, "--mask", tmp_path / "mask.npy")
    assert "No such file" in failed(1, "estimate", recorded, "--mask", tmp_path / "none.npy")


def test_estimate_writes_json_to_the_terminal_on_request(recorded):
    assert json.loads(run("estimate", recorded, "--json", "-").stdout)["status"] == "bleaching"


def test_a_picture_of_another_kind_is_refused_before_anything_is_read(recorded, tmp_path):
    assert "does not end in .png" in failed(2, "estimate", recorded, "--plot", tmp_path / "found.pdf")


# match


@pytest.mark.parametrize("variant", ["fiji", "interpolated"])
def test_match_writes_what_the_library_computes(recorded, out, variant):
    result = run("match", recorded, out, "--variant", variant, "--reference", 3, "--frames", ":6")
    assert result.exit_code == 0
    assert f"histograms matched ({variant}) to frame 3" in result.stdout
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as matched:
        assert np.array_equal(matched.fl.compute(), fls[:6].histogram_matched(variant, 3).compute())


def test_an_output_that_is_a_url_is_refused(recorded):
    assert "the output 's3://bucket/out.h5' is a URL" in failed(2, "match", recorded, "s3://bucket/out.h5")


def test_a_reference_that_is_no_frame_is_refused(recorded, out):
    assert "no frame 99" in failed(1, "match", recorded, out, "--reference", 99)


def test_a_reference_without_a_finite_pixel_asks_for_another_in_words_of_the_command_line(tmp_path, out):
    series = write_series_file(tmp_path / "in.h5", np.full((2, 4, 4), np.nan), [0.0, 1.0])
    assert "choose another frame with --reference." in failed(1, "match", series, out)
    assert not out.exists()


# denoise


def test_denoise_writes_what_the_library_computes(recorded, out):
    result = run("denoise", recorded, out, "--weight", 5, "--frames", ":4")
    assert result.exit_code == 0
    assert "4 frames of 72 x 64 px, denoised with weight 5" in result.stdout
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as denoised:
        assert np.array_equal(denoised.fl.compute(), fls[:4].denoised(5).compute())


def test_a_wrong_weight_is_a_wrong_command_line(recorded, out):
    assert "--weight 0.0" in failed(2, "denoise", recorded, out, "--weight", 0)


def test_denoise_without_scikit_image_says_how_to_get_it(recorded, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.restoration", None)
    assert "pip install" in failed(1, "denoise", recorded, out)
    assert not out.exists()


# demo


def test_the_demo_writes_two_series_and_a_picture(tmp_path):
    result = run("demo", tmp_path / "demo", "--frames", 12, "--size", 64)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["corrected.h5", "demo.png", "series.h5"]
    for words in ("found", "truth", "half-life", "MB/s", "peak memory", str(tmp_path / "demo" / "demo.png")):
        assert words in result.stdout
    with FLSeries(h5file=tmp_path / "demo" / "corrected.h5", h5mode="r") as corrected:
        assert corrected.shape == (12, 64, 64)


def test_the_demo_finds_the_truth(tmp_path):
    run("demo", tmp_path, "--frames", 100, "--size", 128)
    simulation = Simulation(n_frames=100, frame_shape=(128, 128))
    with FLSeries(h5file=tmp_path / "series.h5", h5mode="r") as fls:
        estimate = fls.estimate_bleaching()
    assert estimate.half_life == pytest.approx(simulation.half_life, rel=0.1)
    np.testing.assert_allclose(estimate.factors, simulation.factors, rtol=0.1)


def test_the_demo_keeps_a_folder_that_holds_files(tmp_path):
    (tmp_path / "series.h5").write_text("precious")
    assert "--overwrite" in failed(1, "demo", tmp_path)
    assert (tmp_path / "series.h5").read_text() == "precious"


def test_the_demo_replaces_its_own_files_only(tmp_path):
    (tmp_path / "series.h5").write_text("old")
    (tmp_path / "notes.txt").write_text("precious")
    assert run("demo", tmp_path, "--frames", 6, "--size", 64, "--overwrite").exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "precious"
    with FLSeries(h5file=tmp_path / "series.h5", h5mode="r") as fls:
        assert len(fls) == 6


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--frames", 3], "--frames 3"), (["--size", 63], "--size 63"), (["--seed", -1], "--seed -1")],
)
def test_a_demo_that_cannot_be_makes_no_folder(tmp_path, options, reason):
    assert reason in failed(2, "demo", tmp_path / "demo", *options)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_needs_a_folder_and_no_file(recorded):
    assert "is a file" in failed(1, "demo", recorded)


# failures


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_traceback_is_shown_on_request(tmp_path, place):
    missing = tmp_path / "none.h5"
    line = ["--traceback", "info", missing] if place == "before" else ["info", missing, "--traceback"]
    result = run(*line)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("flimage-dask: error: ")


def test_a_failure_of_the_system_names_the_file(recorded, out, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(FLSeries, "denoise", fail)
    assert failed(1, "denoise", recorded, out) == f"flimage-dask: error: '{out}': No space left on device."


@pytest.mark.parametrize("message", ["", "float division by zero."])
def test_an_error_that_nobody_thought_of_is_one_line_with_its_name(recorded, out, monkeypatch, message):
    def fail(*arguments, **options):
        raise ZeroDivisionError(message)

    monkeypatch.setattr(FLSeries, "denoise", fail)
    line = failed(1, "denoise", recorded, out)
    text = f"ZeroDivisionError: {message}".rstrip(": .")
    assert line == f"flimage-dask: error: {text}. Give --traceback to see where, and report it, please."
    assert run("denoise", recorded, out, "--traceback").stderr.startswith("Traceback")


def test_a_message_of_several_lines_becomes_one(tmp_path):
    assert "none ?[31m.h5" in failed(1, "info", tmp_path / "none\n\x1b[31m.h5")


def test_an_interrupt_is_one_line_and_130(recorded, out, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(FLSeries, "denoise", interrupt)
    assert "interrupted" in failed(130, "denoise", recorded, out)


# processes


def test_a_process_exits_with_the_code_of_the_failure(start, recorded, tmp_path):
    stdout, stderr = (process := start("correct", recorded, tmp_path / "out.h5", "--border", 99)).communicate()
    assert (process.returncode, stdout) == (2, "")
    assert stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_process_corrects_a_series(start, recorded, out):
    stdout, stderr = (process := start("correct", recorded, out, "--json")).communicate()
    assert (process.returncode, stderr) == (0, "")
    assert json.loads(stdout)["output"] == str(out)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_process_that_is_interrupted_leaves_no_output(start, tmp_path):
    process = start("demo", "demo", "--frames", 100_000, "--size", 128, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("demo/.series.h5.*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "flimage-dask: error: interrupted.\n"
    assert list((tmp_path / "demo").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_that_falls_into_a_finalizer_is_not_lost():
    code = """
import click, os, signal, time
from flimage_dask.cli.failures import OneLineErrors

signal.signal(signal.SIGINT, signal.default_int_handler)

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)

@click.group(cls=OneLineErrors)
def main():
    pass

@main.command()
def work():
    Finalized()
    for _ in range(200):
        time.sleep(0.1)

main()
"""
    done = subprocess.run([sys.executable, "-c", code, "work"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "flimage-dask: error: interrupted.\n")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("who", [("--workers", 1), ("--resume",)], ids=str)
def test_a_run_that_is_interrupted_says_how_to_go_on_and_does(start, long_recording, tmp_path, out, who):
    parts = tmp_path / ".out.h5.parts"
    process = start("correct", long_recording, out, *who, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.part"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stderr
    assert re.fullmatch(
        r"flimage-dask: error: interrupted\. \d+ of \d+ blocks are done: go on with --resume, or start again with "
        r"--no-resume\.\n",
        stderr,
    )
    assert not out.exists()
    assert "earlier run left" in failed(1, "correct", long_recording, out)
    assert "out.h5" in run("clean", tmp_path).stdout
    assert run("correct", long_recording, out, "--resume").exit_code == 0
    assert run("clean", tmp_path).stdout == f"nothing is left over in '{tmp_path}'.\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_run_that_is_interrupted_while_its_workers_start_says_so_in_one_line(start, long_recording, tmp_path, out):
    process = start("correct", long_recording, out, "--workers", 2, start_new_session=True)
    deadline = time.monotonic() + 60
    # The first one keeps count of what multiprocessing shares.
    while len(psutil.Process(process.pid).children()) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert (process.returncode, stderr) == (130, "flimage-dask: error: interrupted.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_run_that_is_interrupted_twice_ends_at_once(start, long_recording, tmp_path, out):
    process = start("correct", long_recording, out, "--workers", 1, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.h5.parts/*.part")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.05)  # two signals at the same moment are one
    os.killpg(process.pid, signal.SIGINT)
    at = time.monotonic()
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stderr
    # Behind it, multiprocessing tells of the semaphores that it cleans up.
    assert stderr.startswith(
        "flimage-dask: error: interrupted twice: stopped at once. What is left over is listed by flimage-dask clean.\n"
    )
    assert time.monotonic() - at < 5  # in order, it takes ten
    assert not out.exists()
    assert run("correct", long_recording, out, "--resume").exit_code == 0


def test_what_is_left_over_is_listed_and_removed(tmp_path):
    PartFolder(tmp_path / ".a.h5.parts").create({}, {})
    (tmp_path / ".b.h5.01234567.partial").write_bytes(b"\x89HDF\r\n\x1a\n".ljust(1500))
    listed = run("clean", tmp_path).stdout
    assert re.search(r"a\.h5 +0 blocks .*\n +b\.h5 +incomplete +1\.5 kB +\d+ s old", listed)
    assert "1.5 kB can be removed with --remove." in listed
    assert "removed 1.5 kB." in run("clean", tmp_path, "--remove").stdout
    assert list(tmp_path.iterdir()) == []
    assert "does not exist" in failed(1, "clean", tmp_path / "nowhere")


def test_what_cannot_be_removed_is_not_said_to_be(tmp_path, monkeypatch):
    PartFolder(tmp_path / ".a.h5.parts").create({}, {})
    monkeypatch.setattr(shutil, "rmtree", lambda *arguments, **options: None)
    monkeypatch.setattr("flimage_dask.hdf5.parts._SECONDS_BETWEEN_TRIES", 0)
    assert "cannot be removed" in failed(1, "clean", tmp_path, "--remove")


def test_processes_of_this_machine_do_the_same_work(recorded, out, tmp_path):
    assert run("correct", recorded, out, "--threads", 1).exit_code == 0
    other = tmp_path / "other.h5"
    result = run("correct", recorded, other, "--workers", 1, "--threads", 2)
    assert result.exit_code == 0, result.output
    with FLSeries(h5file=out, h5mode="r") as a, FLSeries(h5file=other, h5mode="r") as b:
        assert np.array_equal(a.raw_fl.compute(), b.raw_fl.compute())


def test_processes_of_this_machine_say_nothing_of_ports_that_others_use(start, recorded, out):
    with socket.socket() as port_of_dask:
        with suppress(OSError):  # whoever has it already will do
            port_of_dask.bind(("127.0.0.1", 8787))
            port_of_dask.listen()
        process = start("correct", recorded, out, "--workers", 1)
        _, stderr = process.communicate()
    assert (process.returncode, stderr) == (0, "")


def test_a_scheduler_that_does_not_answer_is_named(recorded, out, monkeypatch):
    monkeypatch.setattr("flimage_dask.cli.workers._SECONDS_TO_CONNECT", 0.5)
    line = failed(1, "correct", recorded, out, "--scheduler", "tcp://127.0.0.1:1")
    assert line.endswith("no scheduler answers at 'tcp://127.0.0.1:1': start one with: dask scheduler.")
    assert "leave out --workers and --threads" in failed(
        2, "estimate", recorded, "--scheduler", "tcp://127.0.0.1:1", "--workers", 2
    )


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_goes_away_is_no_reason_to_complain(start, recorded):
    process = start("info", recorded)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.parametrize("command", ["correct", "denoise"])
def test_the_output_is_stored_as_asked_for_within_the_memory_asked_for(recorded, out, command):
    if command == "denoise":
        pytest.importorskip("skimage")
    result = run(command, recorded, out, "--level", 6, "--shuffle", "--memory", "64 MiB")
    assert result.exit_code == 0, result.output
    with h5py.File(out) as file:
        raw = file["fli_0/fluorescence/raw"]
        assert (raw.compression, raw.compression_opts, raw.shuffle) == ("gzip", 6, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--level", 11], "--level 11: give an integer"),
        (["--compression", "none", "--level", 2], "--level 2 goes with --compression gzip only"),
        (["--compression", "rar"], "'rar' is not one of"),
        (["--memory", "5 MiB"], "--memory '5 MiB' is too little"),
        (["--memory", "lots"], "--memory lots is not a size"),
    ],
)
def test_storage_and_memory_that_cannot_be_had_are_usage_errors(recorded, out, options, words):
    assert words in failed(2, "correct", recorded, out, *options)
    assert not out.exists()


# background


@pytest.fixture
def images(tmp_path):
    """Write images: as numpy.save does, and as a single image of flimage."""
    rng = np.random.default_rng(0)
    mask = np.zeros((72, 64), bool)
    mask[:10] = True
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "flat.npy", 100 + rng.random((72, 64)))
    np.save(tmp_path / "wrong.npy", np.ones((5, 5)))
    (tmp_path / "empty.npy").touch()
    FLImage(10 * rng.random((72, 64)), h5file=tmp_path / "dark.h5").close()
    return tmp_path


@pytest.mark.parametrize(
    ("options", "background"),
    [
        ([], "constant"),
        (["--background", "per-frame"], "per-frame"),
        (["--background", "per-frame-percentile-30", "--background-region", "frame"], "percentile of the frame"),
        (["--background", "per-frame", "--background-region", "mask.npy"], "mean of a mask"),
        (["--background", "tilt", "--background-region", "mask.npy"], "tilt of a mask"),
        (["--background", "offset-gauss"], Profile("offset", "gauss")),
        (["--background", "poly2o"], Profile("poly2o")),
        (["--background", "rolling-ball-9"], RollingBall(9)),
        (["--background", "over-time-5"], TimePercentile(5)),
        (["--background", "101.5"], 101.5),
        (["--background", "dark.h5"], "dark"),
        (["--background", "0", "--dark", "dark.h5", "--flat", "flat.npy"], "fields"),
    ],
)
def test_backgrounds_are_those_of_the_library(recorded, out, images, monkeypatch, options, background):
    if isinstance(background, RollingBall):
        pytest.importorskip("skimage", reason="scikit-image is not installed (the extra 'denoise')")
    monkeypatch.chdir(images)
    result = run("background", recorded, out, *options)
    assert result.exit_code == 0, result.output
    assert "24 frames of 72 x 64 px, less their background" in result.stdout
    mask, dark, flat = np.load("mask.npy"), FLImage(h5file="dark.h5", h5mode="r").fl, np.load("flat.npy")
    arguments = {
        "percentile of the frame": {"background": FrameBackground("percentile-30", "frame")},
        "mean of a mask": {"background": FrameBackground("mean", mask)},
        "tilt of a mask": {"background": Profile("tilt", region=mask)},
        "dark": {"background": dark},
        "fields": {"background": 0.0, "dark": dark, "flat": flat},
    }
    how = arguments.get(background if isinstance(background, str) else "", {"background": background})
    with FLSeries(h5file=recorded, h5mode="r") as fls, FLSeries(h5file=out, h5mode="r") as written:
        assert np.allclose(written.fl.compute(), fls.background_corrected(**how).compute(), atol=1e-4)


@pytest.mark.parametrize(
    ("code", "options", "reason"),
    [
        (2, ["--flat", "wrong.npy"], "--flat has shape (5, 5); the frames have (72, 64)"),
        (2, ["--dark", "empty.npy"], "'empty.npy' is not an array"),
        (1, ["--dark", "none.npy"], "none.npy"),
        (1, ["--dark", "none.h5"], "does not exist"),
        (2, ["--background", "wrong.npy"], "shape (5, 5)"),
        (2, ["--background", "tilt", "--background-region", "wrong.npy"], "--background-region has shape (5, 5)"),
        (2, ["--background", "cubic"], "'poly2o'"),
        (2, ["--border", "40"], "--border 40"),
    ],
)
def test_a_background_that_cannot_be_had_is_one_line(recorded, out, images, monkeypatch, code, options, reason):
    monkeypatch.chdir(images)
    assert reason in failed(code, "background", recorded, out, *options)
    assert not out.exists()


def test_an_estimate_of_prepared_frames_needs_the_same_preparation(recorded, out, tmp_path):
    prepared = ("--background", "tilt", "--dark", "5")
    shown = run("estimate", recorded, *prepared, "--json", tmp_path / "red.json")
    assert "dark field, tilt profile, border of 20 px" in shown.stdout
    reason = failed(2, "correct", recorded, out, "--estimate", tmp_path / "red.json")
    assert "give the same --background, --dark and --flat." in reason
    assert run("correct", recorded, out, "--estimate", tmp_path / "red.json", *prepared).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["correct", "IN", "OUT", "--background", "over-time-x"], "'over-time-x' is neither"),
        (["correct", "IN", "OUT", "--background", "rolling-ball-x"], "'rolling-ball-x' is neither"),
        (["correct", "IN", "OUT", "--mask", "IN"], "give the file of a single image"),
        (["correct", "IN", "OUT", "--exclude", "1:"], "--model ratio and flimage-dask background need no fit"),
        (["correct", "IN", "IN/out.h5"], "is not a folder: the output 'out.h5' cannot lie in it"),
        (["clean", "IN"], "is not a folder."),
        (["estimate", "IN", "--json", "none/a.json"], "of the output 'a.json' does not exist: make it first"),
        (["estimate", "IN", "--plot", "none/a.png"], "of the output 'a.png' does not exist: make it first"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_ways_out_are_those_of_the_command_line(recorded, out, arguments, problem):
    replaced = [text.replace("IN", str(recorded)).replace("OUT", str(out)) for text in arguments]
    result = CliRunner().invoke(main, [*replaced, *(["--border", "4"] if "correct" in replaced else [])])
    assert result.exit_code in (1, 2)
    assert problem in result.stderr.splitlines()[-1]
    assert not out.exists()


def test_a_frame_of_another_shape_can_be_left_out_as_the_message_says(tmp_path, out):
    frames = Simulation(n_frames=8, frame_shape=(64, 64)).frames(0, 8)
    images = [FLImage(frame, {"time": float(number)}) for number, frame in enumerate([*frames, np.ones((3, 3))])]
    FLSeries(images, h5file=tmp_path / "series.h5").close()
    message = failed(1, "correct", tmp_path / "series.h5", out, "--border", "4")
    assert message.endswith("Leave it out with --frames START:STOP, or work on it alone as --frames 8:9.")
    assert run("correct", tmp_path / "series.h5", out, "--border", "4", "--frames", ":8").exit_code == 0
