import struct

import numpy as np
import pytest

from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching
from flimage_dask.errors import FileError, ParameterError

TIMES = 60.0 * np.arange(50)
DECAY = 1e5 * np.exp(-TIMES / 900) + 2e4


def made(trace=DECAY, times=TIMES, **fit):
    return estimate_bleaching(times, trace, background=0.0, fit=FitOptions(**fit))


def labels_of(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_trace_factors_and_residuals_are_drawn_beside_the_numbers(tmp_path):
    figure = made().plot(tmp_path / "fit.png", title="cells")
    assert labels_of(figure) == ["trace and fit", "factors", "residuals", ""]
    content = (tmp_path / "fit.png").read_bytes()
    assert struct.unpack(">II", content[16:24]) == (1500, 990)


def test_nothing_is_written_without_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made().plot()
    assert list(tmp_path.iterdir()) == []


def test_the_numbers_say_model_errors_and_criteria():
    figure = made(DECAY + np.random.default_rng(0).normal(0, 300, 50), model="auto", exclude=[3]).plot()
    (text,) = figure.axes[3].texts
    for words in ("bleaching: exponential", "±", "half-life", "AICc above the lowest", "1 frame took no part"):
        assert words in text.get_text()


def test_criteria_that_are_unknown_are_not_compared():
    (text,) = made(np.array([4.0, 2.0, 1.25]), TIMES[:3]).plot().axes[3].texts
    assert "exponential" in text.get_text()
    assert "nan" not in text.get_text()


@pytest.mark.parametrize(
    ("estimate", "bands"),
    [
        (made(), ["± standard error", "68 % interval"]),
        (made(model="ratio"), []),
        (made(parameters={"amplitude": 1e5, "rate": 1 / 900, "offset": 2e4}), []),
    ],
    ids=["a fit", "no fit", "given"],
)
def test_only_errors_that_are_known_are_drawn_and_named(estimate, bands):
    figure = estimate.plot()
    assert [fill.get_label() for axes in figure.axes for fill in axes.collections] == bands


def test_the_numbers_say_that_there_are_warnings():
    (text,) = made(np.array([4.0, 2.0, 1.25]), TIMES[:3]).plot().axes[3].texts
    assert "1 warning: see the estimate" in text.get_text()


@pytest.mark.parametrize(
    "estimate",
    [
        made(np.full(50, 3.0)),
        made(np.zeros(50)),
        made(1000 + np.random.default_rng(1).normal(0, 5, 50)),
        made(np.where(np.isin(np.arange(50), [0, 9]), np.nan, DECAY)),
        made(np.where(np.arange(50) == 9, 9e5, DECAY), robust=True, exclude=[1]),
        made(DECAY[::-1], TIMES[::-1]),
    ],
    ids=["constant", "zero", "steady", "gaps", "outlier", "backwards"],
)
def test_any_estimate_can_be_drawn(estimate, tmp_path):
    estimate.plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 10_000


@pytest.mark.parametrize("offset", [-5e5, -6e4, 0.0])
def test_the_axis_of_the_trace_shows_zero_and_all_frames(offset):
    trace = made(DECAY + offset, model="none").plot().axes[0]
    (dots,) = [line.get_ydata() for line in trace.lines if line.get_label() == "measured"]
    low, high = trace.get_ylim()
    assert low <= min(0.0, dots.min()) <= max(0.0, dots.max()) <= high
    assert trace.get_ylabel() == "intensity [$10^{3}$ counts]"


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"does not end in \.png"):
        made().plot(tmp_path / "fit.pdf")


def test_a_picture_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        made().plot(tmp_path / "missing" / "fit.png")


def trials(n, model="exponential", **fit):
    noise = np.random.default_rng(0).normal(0, 300, (n, 50))
    parts = [made(DECAY + noise[k], TIMES + 9000 * k, model=model, **fit) for k in range(n)]
    return BleachingEstimate.joined(parts)


@pytest.mark.parametrize(
    "estimate",
    [
        made(DECAY + np.random.default_rng(0).normal(0, 300, 50), model="auto", exclude=[3, 4]),
        made(1.4 * DECAY + 4e4 * np.exp(-TIMES / 100), model="auto", robust=True, exclude=[3]),
        made(model="none"),
        trials(7),
        trials(3, "biexponential"),
    ],
    ids=["auto", "robust", "none", "seven trials", "three trials"],
)
@pytest.mark.parametrize("title", [None, "cells"])
def test_the_numbers_stay_on_the_page_and_can_be_read(estimate, title):
    figure = estimate.plot(title=title)
    (text,) = figure.axes[3].texts
    extent = text.get_window_extent()
    assert figure.bbox.x0 <= extent.x0 < extent.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= extent.y0 < extent.y1 <= figure.axes[3].bbox.y1 + 1
    assert text.get_fontsize() >= 6.5


def test_parameters_that_find_no_room_are_counted():
    (text,) = trials(7).plot().axes[3].texts
    shown = [line for line in text.get_text().splitlines() if "±" in line]
    assert f"… and {7 * 3 - len(shown)} more parameters" in text.get_text()
    assert len(shown) > 4
    assert "7 parts bleach each by itself" in text.get_text()


def test_the_numbers_say_the_largest_factor_and_its_noise():
    (text,) = made().plot().axes[3].texts
    assert f"largest factor {made().largest_factor:.4g} (" in text.get_text()
    assert f"noise gain {made().noise_gain:.3g}" in text.get_text()


@pytest.mark.parametrize("options", [{"exclude": [30, 31]}, {"robust": True}], ids=["excluded", "outliers"])
@pytest.mark.parametrize("sign", [1, -1])
def test_frames_aside_do_not_flatten_the_residuals_of_the_fit(options, sign):
    noisy = DECAY + np.random.default_rng(0).normal(0, 300, 50)
    noisy[[30, 31]] += sign * 3e5
    estimate = made(noisy, **options)
    residuals = estimate.plot().axes[2]
    assert residuals.get_ylabel() == "trace - fit [counts]"
    furthest = np.abs(np.delete(estimate.residuals, [*estimate.excluded, *estimate.outliers])).max()
    assert furthest < residuals.get_ylim()[1] < 1.5 * furthest
    assert residuals.get_title(loc="right") == "2 frames beyond the axis"
    (pointing,) = [line for line in residuals.lines if line.get_marker() == "v^"[sign > 0] and len(line.get_xdata())]
    assert pointing.get_xdata().tolist() == pytest.approx([30, 31])


def test_nothing_lies_beyond_the_axis_of_a_plain_fit():
    residuals = made(DECAY + np.random.default_rng(0).normal(0, 300, 50), exclude=[4]).plot().axes[2]
    assert residuals.get_title(loc="right") == ""


def test_a_single_frame_is_drawn_without_a_warning():
    figure = made(DECAY[:1], TIMES[:1], model="ratio").plot()
    low, high = figure.axes[0].get_xlim()
    assert low < 0 < high


def test_no_line_leads_from_one_trial_to_the_next():
    figure = trials(3).plot()
    for axes in figure.axes[:2]:
        curve = axes.lines[-1 if axes is figure.axes[0] else 0].get_ydata()
        assert np.flatnonzero(np.isnan(curve)).tolist() == [50, 101]
        (band,) = axes.collections
        assert len(band.get_paths()) == 3


def test_the_line_of_a_single_fit_is_whole():
    for axes in made(exclude=[0, 9]).plot().axes[:2]:
        assert all(np.isfinite(line.get_ydata()).all() for line in axes.lines)


def test_shifts_are_drawn_where_counts_are_added():
    estimate = made(correction="additive")
    figure = estimate.plot()
    assert labels_of(figure) == ["trace and fit", "shifts", "residuals", ""]
    assert figure.axes[1].get_ylabel() == "shift [counts]"
    (shifts,) = [line.get_ydata() for line in figure.axes[1].lines if line.get_label() == "added to each pixel"]
    np.testing.assert_array_equal(shifts, estimate.shifts)
    (text,) = figure.axes[3].texts
    assert "additive: counts are added" in text.get_text()
    assert f"added to each pixel: 0 to {estimate.shifts.max():.4g} counts" in text.get_text()
    assert "factor" not in text.get_text()


def test_shifts_of_a_trial_do_not_lead_to_the_next():
    figure = trials(3, correction="additive").plot()
    (shifts,) = [line.get_ydata() for line in figure.axes[1].lines if line.get_label() == "added to each pixel"]
    assert np.flatnonzero(np.isnan(shifts)).tolist() == [50, 101]


def test_the_numbers_name_a_correction_of_what_bleaches():
    (text,) = made(correction="bleachable").plot().axes[3].texts
    assert "bleachable: the part that bleaches" in text.get_text()


def test_a_series_that_is_not_corrected_has_factors_of_1_whatever_was_asked_for():
    figure = made(np.full(50, 3.0), correction="additive").plot()
    assert labels_of(figure)[1] == "factors"


def test_an_infinite_intensity_is_left_out_of_the_picture(tmp_path):
    trace = np.append(np.inf, np.exp(-np.arange(8) / 3))
    estimate_bleaching(np.arange(9.0), trace, background=0.0).plot(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 10_000
