import pickle

import numpy as np
import pytest

from flimage_dask.errors import ParameterError
from flimage_dask.simulate import BORDER_PX, Simulation

SMALL = Simulation(n_frames=9, frame_shape=(64, 80))


def test_frames_are_the_same_in_any_blocks():
    whole = SMALL.frames(0, 9)
    parts = np.concatenate([SMALL.frames(0, 2), SMALL.frames(2, 7), SMALL.frames(7, 9)])
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize("block_frames", [1, 4, 9, 100, None])
def test_the_lazy_array_holds_the_same_frames(block_frames):
    lazy = SMALL.lazy(block_frames)
    computed = lazy.compute(scheduler="sync")
    assert (lazy.shape, lazy.dtype) == (computed.shape, computed.dtype)
    assert np.array_equal(computed, SMALL.frames(0, 9))


def test_blocks_have_the_size_asked_for():
    assert SMALL.lazy(4).chunks == ((4, 4, 1), (64,), (80,))


def test_a_camera_counts_whole_numbers_in_float32():
    frames = SMALL.frames(0, 2)
    assert frames.dtype == np.float32
    assert np.array_equal(frames, np.rint(frames))
    assert frames.min() >= 0


def test_counts_stop_at_what_a_camera_can_count():
    bright = Simulation(n_frames=1, frame_shape=(64, 64), peak_counts=1e6)
    assert bright.frames(0, 1).max() == 65535


def test_each_seed_has_its_own_cells_and_noise():
    other = Simulation(n_frames=9, frame_shape=(64, 80), seed=1)
    assert not np.array_equal(other.cells, SMALL.cells)
    assert np.array_equal(Simulation(n_frames=9, frame_shape=(64, 80)).frames(3, 4), SMALL.frames(3, 4))


def test_each_frame_has_its_own_noise():
    steady = Simulation(n_frames=2, frame_shape=(64, 64), unbleachable=1.0)
    first, second = steady.frames(0, 2)
    assert not np.array_equal(first, second)


def test_the_border_shows_background_only_wherever_the_stage_drifts():
    dark = Simulation(
        n_frames=300, frame_shape=(96, 96), background_counts=0, offset_counts=50, read_noise=0, frame_interval=1
    )
    border = np.ones(dark.frame_shape, bool)
    border[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    for number in range(0, 300, 20):
        assert np.all(dark.frames(number, number + 1)[0, border] == 50)


def test_the_mean_of_the_border_is_the_background():
    frames = Simulation(n_frames=20, frame_shape=(96, 96)).frames(0, 20)
    assert frames[:, :BORDER_PX].mean() == pytest.approx(Simulation().background, abs=0.1)


def test_the_true_factors_undo_the_bleaching():
    simulation = Simulation(n_frames=100, frame_shape=(128, 128), lamp_noise=0)
    light = (simulation.frames(0, 100) - simulation.background).sum(axis=(1, 2), dtype=np.float64)
    assert light[0] / light[-1] > 2
    np.testing.assert_allclose(light * simulation.factors / light[0], 1, atol=0.02)


def test_the_lamp_flickers_as_much_as_asked():
    steady = Simulation(n_frames=60, frame_shape=(96, 96), unbleachable=1, lamp_noise=0.1)
    light = (steady.frames(0, 60) - steady.background).sum(axis=(1, 2), dtype=np.float64)
    assert 0.06 < light.std() / light.mean() < 0.14


def test_what_is_bleached_entirely_needs_an_infinite_factor():
    simulation = Simulation(n_frames=3, frame_shape=(64, 64), unbleachable=0, half_life=1e-4, frame_interval=1)
    assert simulation.factors[-1] == np.inf
    assert simulation.frames(2, 3).mean() == pytest.approx(simulation.background, abs=1)


def test_truth_and_times_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        SMALL.factors[0] = 2


def test_a_simulation_travels_to_another_process():
    assert np.array_equal(pickle.loads(pickle.dumps(SMALL)).frames(0, 1), SMALL.frames(0, 1))


def test_equal_simulations_have_equal_lazy_arrays():
    assert Simulation(n_frames=9, frame_shape=(64, 80)).lazy(3).name == SMALL.lazy(3).name
    assert Simulation(n_frames=9, frame_shape=(64, 80), seed=3).lazy(3).name != SMALL.lazy(3).name


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_frames": 0},
        {"n_frames": 2.5},
        {"frame_shape": (63, 64)},
        {"frame_shape": (64, 64, 64)},
        {"frame_interval": 0},
        {"half_life": np.nan},
        {"peak_counts": -1},
        {"background_counts": np.inf},
        {"read_noise": -0.1},
        {"lamp_noise": -0.1},
        {"unbleachable": 1.1},
        {"seed": -1},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError, match=r"give"):
        Simulation(**wrong)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 10)])
def test_frames_that_do_not_exist_are_refused(start, stop):
    with pytest.raises(ParameterError, match="frames 0 to 9"):
        SMALL.frames(start, stop)


def test_a_block_holds_at_least_one_frame():
    with pytest.raises(ParameterError, match="at least 1"):
        SMALL.lazy(0)
