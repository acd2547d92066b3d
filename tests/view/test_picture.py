import struct
import subprocess
import sys

import numpy as np
import pytest

from flimage_dask.correction.applying import correct
from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
from flimage_dask.correction.trace import positive_sums
from flimage_dask.errors import FileError, ParameterError
from flimage_dask.simulate import Simulation
from flimage_dask.view.picture import draw_correction


def corrected(simulation, times=None):
    frames = simulation.frames(0, simulation.n_frames)
    times = simulation.times if times is None else times
    estimate = estimate_bleaching(times, positive_sums(frames, simulation.background)[:, 0], background=108.0)
    return frames, correct(frames, simulation.background, estimate.factors), estimate


@pytest.fixture(scope="module")
def series():
    return corrected(Simulation(n_frames=20, frame_shape=(64, 64), frame_interval=4))


class Watched:
    """Frames that note which of them are asked for."""

    def __init__(self, frames):
        self.frames, self.shape, self.asked = frames, frames.shape, []

    def __getitem__(self, position):
        self.asked.append(position)
        return self.frames[position]


def size_of_png(path):
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    return struct.unpack(">II", content[16:24])


def test_a_picture_of_150_dots_per_inch_is_drawn(series, tmp_path):
    draw_correction(tmp_path / "demo.png", *series, title="Cells")
    width, height = size_of_png(tmp_path / "demo.png")
    assert width == 1500
    assert height > 1000


def test_the_first_the_middle_and_the_last_frame_are_computed_only(series, tmp_path):
    before, after = Watched(series[0]), Watched(series[1])
    draw_correction(tmp_path / "demo.png", before, after, series[2])
    assert before.asked == after.asked == [0, 10, 19]


def test_lazy_frames_give_the_same_picture(series, tmp_path):
    da = pytest.importorskip("dask.array")
    before, after, estimate = series
    draw_correction(tmp_path / "plain.png", before, after, estimate)
    draw_correction(tmp_path / "lazy.png", da.from_array(before), da.from_array(after), estimate)
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "lazy.png").read_bytes()


def test_wide_frames_make_a_lower_picture_than_high_ones(tmp_path):
    heights = {}
    for shape in ((64, 200), (200, 64)):
        path = tmp_path / f"{shape[0]}.png"
        draw_correction(path, *corrected(Simulation(n_frames=5, frame_shape=shape, frame_interval=9)))
        heights[shape] = size_of_png(path)[1]
    assert heights[64, 200] < heights[200, 64]


def test_a_series_that_does_not_bleach_is_drawn(tmp_path):
    steady = corrected(Simulation(n_frames=8, frame_shape=(64, 64), unbleachable=1))
    assert steady[2].status == "no bleaching"
    draw_correction(tmp_path / "steady.png", *steady)
    assert size_of_png(tmp_path / "steady.png")[0] == 1500


def test_pixels_that_are_not_finite_do_no_harm(series, tmp_path):
    before, after, estimate = (part.copy() if isinstance(part, np.ndarray) else part for part in series)
    before[0, :5] = np.nan
    after[19] = np.inf
    draw_correction(tmp_path / "holes.png", before, after, estimate)
    assert size_of_png(tmp_path / "holes.png")[0] == 1500


def test_a_trace_with_a_frame_left_out_is_drawn(tmp_path):
    frames = Simulation(n_frames=12, frame_shape=(64, 64), frame_interval=5).frames(0, 12)
    trace = positive_sums(frames, 108.0)[:, 0]
    trace[[0, 7]] = np.nan
    estimate = estimate_bleaching(np.arange(12) * 5.0, trace, background=108.0)
    draw_correction(tmp_path / "gap.png", frames, frames, estimate)
    assert size_of_png(tmp_path / "gap.png")[0] == 1500


def test_series_of_different_length_are_refused(series, tmp_path):
    before, after, estimate = series
    with pytest.raises(ParameterError, match="19 frames before and 20 after"):
        draw_correction(tmp_path / "demo.png", before[1:], after, estimate)
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_file_is_refused(series, tmp_path):
    with pytest.raises(ParameterError, match=r"\.png"):
        draw_correction(tmp_path / "demo.pdf", *series)


def test_a_picture_that_cannot_be_written_leaves_nothing(series, tmp_path):
    (tmp_path / "demo.png").mkdir()
    with pytest.raises(FileError, match="cannot be written"):
        draw_correction(tmp_path / "demo.png", *series)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]


def test_nothing_global_of_matplotlib_is_touched():
    code = "import flimage_dask.view.picture, sys; print('matplotlib.pyplot' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_frames_without_times_are_drawn_in_their_order(series, tmp_path):
    before, after, _ = series
    trace = positive_sums(before, 108.0)[:, 0]
    ratio = estimate_bleaching(np.full(20, np.nan), trace, background=108.0, fit=FitOptions(model="ratio"))
    draw_correction(tmp_path / "order.png", before, after, ratio)
    assert size_of_png(tmp_path / "order.png")
