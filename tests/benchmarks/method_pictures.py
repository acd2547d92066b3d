"""The pictures of docs/methods.md: ``python -m tests.benchmarks.method_pictures docs/images``.

All of them are simulated with fixed seeds: the same command draws the same pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flimage_dask.correction.background import border_mask
from flimage_dask.correction.bleaching import estimate_bleaching
from flimage_dask.correction.choice import EVIDENCE
from flimage_dask.correction.decay import MIN_EFFECTIVE, fit_decay
from flimage_dask.correction.denoise import denoise_tv
from flimage_dask.correction.estimate import BleachingEstimate
from flimage_dask.correction.fields import Fields
from flimage_dask.correction.histogram import distribution, match_histograms
from flimage_dask.correction.intensity import intensities
from flimage_dask.correction.levels import FrameBackground
from flimage_dask.correction.models import EXPONENTIAL, NONE
from flimage_dask.correction.options import CORRECTIONS, FitOptions
from flimage_dask.correction.over_time import TimePercentile
from flimage_dask.correction.profiles import Profile
from flimage_dask.correction.rolling_ball import RollingBall
from flimage_dask.correction.trace import positive_sums
from flimage_dask.view.style import DATA, DPI, FIT, FONT_SIZE, REFERENCE, TITLE_SIZE, WIDTH, save, style

Array = NDArray[np.float64]

#: Bluish green of Okabe and Ito, for a third thing beside the data and the fit.
THIRD = "#009E73"
#: Reddish purple of Okabe and Ito, for a fourth one.
FOURTH = "#CC79A7"
SMALL = FONT_SIZE - 1.5
DOTS: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 2.6, "markeredgewidth": 0, "alpha": 0.6}


def models() -> Figure:
    """Draw a trace of each model with its own fit, and what is left of it, beside what an exponential leaves."""
    tau = np.linspace(0, 100, 150)
    truths = {
        "exponential": 80 * np.exp(-0.04 * tau) + 20,
        "biexponential": 50 * np.exp(-0.25 * tau) + 40 * np.exp(-0.015 * tau) + 10,
        "linear+exponential": 40 * np.exp(-0.15 * tau) - 0.3 * tau + 60,
        "stretched": 90 * np.exp(-((0.06 * tau) ** 0.5)) + 10,
    }
    figure = _figure(4.9)
    grid = figure.subplots(2, 4, sharex=True, sharey="row", gridspec_kw={"height_ratios": (2, 1)})
    for seed, (name, truth) in enumerate(truths.items()):
        trace = truth + np.random.default_rng(seed).normal(0, 0.8, len(tau))
        above, below = grid[:, seed]
        own, simple = _estimated(tau, trace, name), _estimated(tau, trace, "exponential")
        above.plot(tau, trace, **DOTS, color=DATA, label="trace")
        above.plot(tau, own.decay, color=FIT, linewidth=2, label="its model")
        below.axhline(0, color=FIT, linewidth=2)
        below.plot(tau, own.residuals, **DOTS, color=DATA)
        if name != "exponential":
            below.plot(tau, own.decay - simple.decay, color=REFERENCE, linestyle="--", linewidth=1.5)
            above.plot(tau, simple.decay, color=REFERENCE, linestyle="--", linewidth=1.5, label="an exponential")
        _finish(above, name)
        _finish(below, xlabel="time [s]")
    grid[0, 0].set_ylim(0, 112)
    grid[0, 1].legend(fontsize=SMALL, frameon=False)
    grid[0, 0].set_ylabel("intensity [counts]", fontsize=FONT_SIZE)
    grid[1, 0].set_ylabel("trace - fit", fontsize=FONT_SIZE)
    return figure


def backgrounds() -> Figure:
    """Draw a frame under an uneven lamp, and what is left of a row of it above several backgrounds."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[-1:1:120j, -1:1:160j]
    lamp = 100 + 25 * x + 10 * y + 35 * x**2 + 20 * y**2
    cells = np.zeros_like(lamp)
    for brightness, x0, y0, radius in ((60, -0.5, 0.05, 0.2), (40, 0.0, -0.05, 0.07), (80, 0.5, 0.0, 0.13)):
        cells[np.hypot((x - x0) * 4 / 3, y - y0) < radius] = brightness
    frame = rng.poisson(lamp + cells).astype(np.float32)
    border = border_mask(frame.shape, 20)
    left_over = {
        "the mean of the border": frame - frame[border].mean(),
        'Profile("tilt")': _above(frame, Profile("tilt")),
        'Profile("poly2o")': _above(frame, Profile("poly2o")),
        "RollingBall(20)": _above(frame, RollingBall(20)),
    }
    figure = _figure(3.6)
    panels = figure.subplot_mosaic([["frame", 0, 1], ["frame", 2, 3]], width_ratios=(1.25, 1, 1))
    image, row = panels.pop("frame"), len(frame) // 2
    image.imshow(frame, cmap="gray", interpolation="nearest")
    image.axhline(row, color=FIT, linewidth=1.5)
    image.set(xticks=[], yticks=[])
    image.set_title("the frame", fontsize=TITLE_SIZE - 1, fontweight="bold", loc="left", pad=6)
    for axes, (name, pixels) in zip(panels.values(), left_over.items(), strict=True):
        axes.plot(pixels[row], color=DATA, linewidth=1)
        axes.plot(cells[row], color=FIT, linewidth=2, linestyle="--")
        _finish(axes, name)
        axes.set_ylim(-60, 130)
    for place, axes in panels.items():
        axes.tick_params(labelleft=place in (0, 2), labelbottom=place in (2, 3))
        axes.set_ylabel("counts" if place in (0, 2) else "", fontsize=FONT_SIZE)
        axes.set_xlabel("column [px]" if place in (2, 3) else "", fontsize=FONT_SIZE)
    return figure


def bleaching_background() -> Figure:
    """Draw the factors of cells in a medium that bleaches too, with one background and with one a frame."""
    rng, times = np.random.default_rng(1), np.arange(60.0)
    medium, cells = 40 * np.exp(-times / 8) + 20, 100 * np.exp(-times / 40)
    cell = np.zeros((60, 60), np.bool_)
    cell[20:40, 20:40] = True
    frames = rng.poisson(medium[:, None, None] + cells[:, None, None] * cell)
    of_medium, of_cells = frames[:, border_mask(cell.shape, 10)].mean(axis=1), frames[:, cell].mean(axis=1)
    traces = {
        '"constant"': (of_cells - of_medium.mean(), REFERENCE),
        '"per-frame"': (of_cells - of_medium, DATA),
    }
    figure = _figure(3.4)
    left, right = figure.subplots(1, 2)
    left.plot(times, of_cells, **DOTS, color=THIRD, label="mean of the cells, with the medium below")
    left.plot(times, of_medium, **DOTS, color=REFERENCE, label="mean of the border")
    left.axhline(of_medium.mean(), color=REFERENCE, linewidth=1.5, label="its mean over all frames")
    _finish(left, "a medium that bleaches too", "time [s]", "intensity [counts]")
    left.set_ylim(0, 190)
    left.legend(fontsize=SMALL, frameon=False)
    right.plot(times, cells[0] / cells, color=FIT, linewidth=2, linestyle="--", label="truth")
    for name, (trace, colour) in traces.items():
        found = _estimated(times, trace)
        right.plot(times, found.factors, color=colour, linewidth=2, label=f"background={name}")
    _finish(right, "factors", "time [s]", "factor")
    right.legend(fontsize=SMALL, frameon=False)
    return figure


def correction_kinds() -> Figure:
    """Draw two cells in a steady glow, corrected in each of the three ways: only one fits what the light is."""
    rng, times, n_pixels = np.random.default_rng(4), np.arange(80.0), 400
    bleaching, glow = np.exp(-times / 25), 20.0
    bright, dim = (level * bleaching + glow for level in (100.0, 40.0))
    cells = rng.poisson(np.stack([bright, dim])[:, :, None], (2, 80, n_pixels)).mean(axis=2)
    figure = _figure(3.3)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, kind in zip(panels, CORRECTIONS, strict=True):
        found = estimate_bleaching(times, cells.mean(axis=0), background=0.0, fit=FitOptions(correction=kind))
        for name, cell, start, colour in (
            ("bright", cells[0], bright[0], DATA),
            ("dim", cells[1], dim[0], THIRD),
        ):
            axes.plot(times, cell * found.factors + found.shifts, **DOTS, color=colour, label=f"the {name} cell")
            axes.axhline(start, color=FIT, linewidth=1.5, linestyle="--", label="" if name == "bright" else "truth")
        _finish(axes, f'"{kind}"', "time [s]")
    panels[0].set_ylabel("mean of a cell [counts]", fontsize=FONT_SIZE)
    panels[0].set_ylim(0, 175)
    panels[0].legend(fontsize=SMALL, frameon=False, loc="lower left")
    return figure


def fields() -> Figure:
    """Draw a dye between cells that move, seen through an uneven lamp, and what fields and time make of it."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[-1:1:96j, -1:1:128j]
    dark, lamp = 100.0, np.exp(-(x**2 + y**2))
    flat = dark + 2000 * lamp
    frames = np.stack(
        [60 + 80 * (np.hypot(x - 0.5 * np.cos(turn), y - 0.5 * np.sin(turn)) < 0.18) for turn in np.linspace(0, 6, 40)]
    )
    raw = rng.poisson(frames * lamp + dark).astype(np.float64)
    even = Fields(dark, flat).corrected(raw.copy())
    still = TimePercentile(20).image(even.copy())
    figure = _figure(3.1)
    panels = figure.subplots(1, 4, gridspec_kw={"width_ratios": (1, 1, 1, 1.25)})
    images = {"raw": raw[0], "dark= and flat=": even[0], "TimePercentile(20)": even[0] - still}
    for axes, (heading, image) in zip(panels[:3], images.items(), strict=True):
        low, high = np.percentile(image, (1, 99.9))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.axhline(48, color=FIT, linewidth=1.5)
        axes.set_title(heading, fontsize=TITLE_SIZE - 2, fontweight="bold", loc="left", pad=6)
        axes.set(xticks=[], yticks=[])
    for (heading, image), colour in zip(images.items(), (REFERENCE, DATA, THIRD), strict=True):
        panels[3].plot(image[44:53].mean(axis=0), color=colour, linewidth=1.5, label=heading)
    _finish(panels[3], "nine rows", "column [px]", "counts")
    panels[3].set_ylim(-20, 340)
    panels[3].legend(fontsize=SMALL, frameon=False, loc="upper left")
    return figure


def frames_of_a_fit() -> Figure:
    """Draw the same decay with a stimulus, with wrong frames, and in trials, fitted with and without regard to that."""
    rng, times = np.random.default_rng(5), np.arange(90.0)
    decay = 80 * np.exp(-times / 40) + 20
    noise = rng.normal(0, 0.8, times.size)
    stimulus, wrong, trials = decay + noise, decay + noise, np.tile(decay[:30], 3) + noise
    stimulus[35:50] += 25 * np.exp(-np.arange(15) / 8)
    wrong[[12, 31, 33, 58, 77]] += [35, -30, 40, 35, 40]
    plain = {"exclude=slice(35, 60)": stimulus, "robust=True": wrong, "one fit per trial, joined": trials}
    parts = [_estimated(times[start : start + 30], trials[start : start + 30]) for start in (0, 30, 60)]
    found = [
        estimate_bleaching(times, stimulus, background=0.0, fit=FitOptions(exclude=slice(35, 60))),
        estimate_bleaching(times, wrong, background=0.0, fit=FitOptions(robust=True)),
        BleachingEstimate.joined(parts),
    ]
    figure = _figure(3.1)
    for axes, (heading, trace), estimate in zip(figure.subplots(1, 3, sharey=True), plain.items(), found, strict=True):
        axes.plot(times, trace, **DOTS, color=DATA, label="trace")
        axes.plot(
            times, _estimated(times, trace).decay, color=REFERENCE, linestyle="--", linewidth=1.5, label="plain fit"
        )
        for start in (0, 30, 60) if estimate.n_parts > 1 else (0,):
            part = slice(start, start + 30 if estimate.n_parts > 1 else None)
            axes.plot(times[part], estimate.decay[part], color=FIT, linewidth=2, label="" if start else "fit as titled")
        _finish(axes, heading, "time [s]")
    figure.axes[0].set_ylabel("intensity [counts]", fontsize=FONT_SIZE)
    figure.axes[0].set_ylim(0, 140)
    figure.axes[0].legend(fontsize=SMALL, frameon=False)
    return figure


def positive_sum() -> Figure:
    """Draw what the noise of dark pixels does to the factors of a positive sum, and what a mask does about it."""
    rng, times, side = np.random.default_rng(0), np.arange(60.0), 64
    truth = 0.1 + 0.9 * np.exp(-times / 15)
    shares = np.array([0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.7, 0.9])
    sums, means, traces = [], [], {}
    for share in shares:
        cell = np.arange(side * side).reshape(side, side) < share * side * side
        frames = 40 * truth[:, None, None] * cell + rng.normal(0, 6, (60, side, side))
        summed = positive_sums(frames, 0.0)[:, 0]
        traces[share] = summed / summed[0]
        sums.append(_estimated(times, summed).factors[-1])
        means.append(_estimated(times, frames[:, cell].mean(axis=1)).factors[-1])
    figure = _figure(3.4)
    left, right = figure.subplots(1, 2)
    left.plot(times, truth, color=FIT, linewidth=2, label="truth")
    for share, colour in ((0.5, THIRD), (0.08, DATA)):
        left.plot(
            times, traces[share], **DOTS, color=colour, label=f"positive sum, {share:.0%} of the pixels are cells"
        )
    _finish(left, "trace", "time [s]", "intensity / first")
    left.set_ylim(0, 1.05)
    left.legend(fontsize=SMALL, frameon=False)
    right.axhline(truth[0] / truth[-1], color=FIT, linewidth=2, label="truth")
    right.plot(shares, means, "s-", color=THIRD, label="mean of a mask")
    right.plot(shares, sums, "o-", color=DATA, label="positive sum of all pixels")
    _finish(right, "last factor", "share of the pixels that are cells", "factor")
    right.set(ylim=(0, 10), xlim=(0, 1))
    right.legend(fontsize=SMALL, frameon=False, loc="lower right")
    return figure


def intervals() -> Figure:
    """Draw factors with their 68 % intervals, and how often such intervals hold the truth."""
    times = np.arange(100.0)
    truth = 0.15 + 0.85 * np.exp(-times / 25)
    factors = truth[0] / truth
    found = _estimated(times, truth + np.random.default_rng(7).normal(0, 0.03, 100))
    figure = _figure(3.4)
    left, right = figure.subplots(1, 2)
    low, high = found.factor_interval
    left.fill_between(times, low, high, color=DATA, alpha=0.3, linewidth=0, label="68 % interval")
    left.plot(times, found.factors, color=DATA, linewidth=2, label="factor")
    left.plot(times, factors, color=FIT, linewidth=2, linestyle="--", label="truth")
    _finish(left, "one series", "time [s]", "factor")
    left.legend(fontsize=SMALL, frameon=False)
    n_holding = 0
    for place in range(40):
        other = _estimated(times, truth + np.random.default_rng(100 + place).normal(0, 0.03, 100))
        low, high = (ends[-1] for ends in other.factor_interval)
        holds = low <= factors[-1] <= high
        n_holding += holds
        right.plot([place, place], [low, high], color=DATA if holds else REFERENCE, linewidth=2.5, alpha=0.8)
    right.axhline(factors[-1], color=FIT, linewidth=2, linestyle="--", label="truth")
    _finish(right, f"the last factor: {n_holding} of 40 hold the truth", "series", "factor")
    right.grid(visible=False, axis="x")
    return figure


def decision() -> Figure:
    """Draw the evidence for bleaching of steady series and of weakly bleaching ones."""
    times = np.arange(100.0)
    decay = np.exp(-times / 40)
    fall = (decay - decay[-1]) / (1 - decay[-1])
    kinds = {
        "steady": (0.0, REFERENCE),
        "bleaches by the noise of a frame": (1.0, THIRD),
        "bleaches by twice that": (2.0, DATA),
    }
    figure = _figure(3.4)
    left, right = figure.subplots(1, 2)
    for number, (name, (strength, colour)) in enumerate(kinds.items()):
        traces = [100 + strength * fall + np.random.default_rng(seed).normal(0, 1, 100) for seed in range(400)]
        left.plot(times, traces[number] - 8 * number, **DOTS, color=colour)
        left.plot(times, 100 + strength * fall - 8 * number, color=colour, linewidth=2)
        evidence = [_evidence(times, trace) for trace in traces]
        right.hist(evidence, np.arange(0, 62, 2), color=colour, alpha=0.65, label=name)
    right.axvline(EVIDENCE, color=FIT, linewidth=2, linestyle="--")
    _finish(left, "a series of each kind", "time [s]", "intensity, shifted")
    _finish(right, "evidence in 400 series of each kind", "$(n_{eff} - 1)\\ \\ln(RSS_{constant} / RSS_{exponential})$")
    right.text(EVIDENCE + 1, 265, "beyond 9: bleaching", color=FIT, fontsize=FONT_SIZE)
    right.set_ylabel("series", fontsize=FONT_SIZE)
    right.legend(fontsize=SMALL, frameon=False, loc="center right")
    left.tick_params(labelleft=False)
    return figure


def without_curve() -> Figure:
    """Draw what a fit, a ratio and histogram matching leave of the response of cells to a stimulus."""
    rng, times, side = np.random.default_rng(3), np.arange(80.0), 64
    bleaching, response = 0.25 + 0.75 * np.exp(-times / 25), 1 + 0.35 * np.exp(-(((times - 45) / 6) ** 2))
    cells = np.zeros((side, side))
    cells[8:30, 8:30], cells[34:56, 34:56] = 1.0, 0.6
    responding = cells == 1.0
    brightness = np.where(responding, response[:, None, None], 1.0) * cells
    frames = 200 * bleaching[:, None, None] * brightness + rng.normal(0, 4, (80, side, side))
    trace = frames[:, cells > 0].mean(axis=1)
    fitted = estimate_bleaching(times, trace, background=0.0, fit=FitOptions(exclude=[slice(32, 60)]))
    ratio = _estimated(times, trace, "ratio")
    matched = match_histograms(frames, distribution(frames[0]), "fiji")
    corrected = {
        "a fit, stimulus left out": (frames * fitted.factors[:, None, None], DATA),
        "ratio": (frames * ratio.factors[:, None, None], THIRD),
        "histogram matching": (matched, REFERENCE),
    }
    figure = _figure(3.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, region, heading, truth in (
        (panels[0], responding, "the cell that responds", response),
        (panels[1], cells == 0.6, "the cell that does not", np.ones(80)),
    ):
        axes.plot(times, truth, color=FIT, linewidth=2, linestyle="--", label="truth")
        for name, (series, colour) in corrected.items():
            means = series[:, region].mean(axis=1)
            axes.plot(times, means / means[:5].mean(), **{**DOTS, "markersize": 3.4}, color=colour, label=name)
        _finish(axes, heading, "time [s]")
    panels[0].set_ylabel("intensity / first", fontsize=FONT_SIZE)
    panels[1].legend(fontsize=SMALL, frameon=False, loc="upper left")
    panels[0].set_ylim(0.6, 1.5)
    return figure


def noise() -> Figure:
    """Draw what a multiplication does to photon noise: mean level, variance up, signal to noise as before."""
    rng, times = np.random.default_rng(5), np.arange(60.0)
    bleaching = 0.1 + 0.9 * np.exp(-times / 15)
    factors = bleaching[0] / bleaching
    counts = rng.poisson(100 * bleaching[:, None], (60, 4000))
    corrected = counts * factors[:, None]
    figure = _figure(3.1)
    panels = figure.subplots(1, 3)
    rows = (
        ("mean", counts.mean(axis=1), corrected.mean(axis=1), "counts", (0, 125)),
        ("variance / mean", _fano(counts), _fano(corrected), "", (0, 12)),
        ("mean / standard deviation", _snr(counts), _snr(corrected), "", (0, 11.5)),
    )
    for axes, (heading, before, after, label, limits) in zip(panels, rows, strict=True):
        axes.plot(times, before, **{**DOTS, "markersize": 5.5, "alpha": 0.5}, color=REFERENCE, label="recorded")
        axes.plot(times, after, **{**DOTS, "markersize": 3}, color=DATA, label="corrected")
        _finish(axes, heading, "time [s]", label)
        axes.set_ylim(*limits)
    panels[1].plot(times, factors, color=FIT, linewidth=1.5, label="factor")
    panels[1].legend(fontsize=SMALL, frameon=False, loc="upper left")
    return figure


def frame_backgrounds() -> Figure:
    """Draw the background of each frame by several statistics of a border through which debris drifts."""
    rng, times, side = np.random.default_rng(8), np.arange(60.0), 64
    y, x = np.mgrid[:side, :side]
    medium = 30 * np.exp(-times / 12) + 30
    cell = 60.0 * (np.hypot(x - 32, y - 32) < 12)
    passing = np.clip(1 - np.abs(times - 32) / 16, 0, 1)
    debris = np.hypot(x - 6, y - 2) < 24 * passing[:, None, None]
    frames = rng.poisson(medium[:, None, None] + cell + 120 * debris).astype(np.float32)
    border = border_mask((side, side), 10)
    statistics = {"mean": REFERENCE, "median": DATA, "mode": THIRD, "percentile-10": FOURTH}
    levels = {name: FrameBackground(name).on((side, side), 10).of(frames) for name in statistics}
    figure = _figure(3.3)
    image, pixels, over_time = figure.subplots(1, 3, gridspec_kw={"width_ratios": (0.8, 1, 1.2)})
    image.imshow(frames[32], cmap="gray", vmin=0, vmax=180)
    image.plot([9.5, 53.5, 53.5, 9.5, 9.5], [9.5, 9.5, 53.5, 53.5, 9.5], color=FIT, linewidth=1.5)
    image.set(xticks=[], yticks=[])
    image.set_title("the frame at 32 s", fontsize=TITLE_SIZE - 1, fontweight="bold", loc="left", pad=6)
    pixels.hist(frames[32, border], np.arange(0, 205, 4), color="0.8")
    for name, colour in statistics.items():
        pixels.axvline(levels[name][32], color=colour, linewidth=2)
    _finish(pixels, "its border", "counts", "pixels")
    over_time.plot(times, medium, color=FIT, linewidth=2, linestyle="--", label="truth")
    for name, colour in statistics.items():
        over_time.plot(times, levels[name], **{**DOTS, "markersize": 4, "alpha": 0.9}, color=colour, label=name)
    _finish(over_time, "background of each frame", "time [s]", "counts")
    over_time.set_ylim(0, 95)
    over_time.legend(fontsize=SMALL, frameon=False, ncols=2, loc="upper right", columnspacing=1, handletextpad=0.4)
    return figure


def traces() -> Figure:
    """Draw four traces of simulated cells: in a mask, in a mask with debris, and of cells that move."""
    rng, times, side = np.random.default_rng(9), np.arange(60.0), 64
    truth = 0.2 + 0.8 * np.exp(-times / 15)
    y, x = np.mgrid[:side, :side]
    turns = times / 8
    moving = np.hypot(x - 32 - 16 * np.cos(turns)[:, None, None], y - 32 - 16 * np.sin(turns)[:, None, None]) < 14
    still = np.hypot(x - 32, y - 32) < 14
    noise = rng.normal(0, 3, (60, side, side))
    cells = 40 * truth[:, None, None] * still + noise
    specks = still & (rng.random((side, side)) < 0.05)
    scenes = {
        "a mask of the cells": (cells, still),
        "a mask with debris": (cells + 200 * specks, still),
        "moving cells, no mask": (40 * truth[:, None, None] * moving + noise, None),
    }
    statistics = {"positive_sum": DATA, "mean": THIRD, "median": REFERENCE, "percentile-90": FOURTH}
    figure = _figure(3.4)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (heading, (frames, mask)) in zip(panels, scenes.items(), strict=True):
        axes.plot(times, truth, color=FIT, linewidth=2, linestyle="--", label="truth")
        for name, colour in statistics.items():
            if mask is None and name == "median":  # That of the dark pixels.
                continue
            found = intensities(frames, 0.0, name, [None if mask is None else np.flatnonzero(mask)])[:, 0]
            dots = {**DOTS, "markersize": 3.6, "alpha": 0.8}
            if name == "positive_sum":  # Rings, because others may lie on it.
                dots |= {"markersize": 6.5, "markeredgewidth": 1, "markerfacecolor": "none"}
            axes.plot(times, found / found[0], **dots, color=colour, label=name)
        _finish(axes, heading, "time [s]")
    panels[0].set_ylabel("intensity / first", fontsize=FONT_SIZE)
    panels[0].set_ylim(0, 1.05)
    panels[0].legend(fontsize=SMALL, frameon=False, loc="upper right")
    return figure


def max_factor() -> Figure:
    """Draw what a largest factor does to a series that bleaches nearly away: less noise, and too little light."""
    rng, times, side = np.random.default_rng(10), np.arange(80.0), 48
    truth = 0.03 + 0.97 * np.exp(-times / 14)
    cell = np.zeros((side, side), np.bool_)
    cell[16:32, 16:32] = True
    frames = 100 * truth[:, None, None] * cell + rng.normal(0, 4, (80, side, side))
    trace = frames[:, cell].mean(axis=1)
    found = {
        "no limit": (estimate_bleaching(times, trace, background=0.0), DATA),
        "max_factor=5": (estimate_bleaching(times, trace, background=0.0, fit=FitOptions(max_factor=5)), THIRD),
    }
    figure = _figure(3.1)
    factors, means, noise = figure.subplots(1, 3)
    for name, (estimate, colour) in found.items():
        corrected = frames * estimate.factors[:, None, None]
        factors.plot(times, estimate.factors, color=colour, linewidth=2, label=name)
        means.plot(times, corrected[:, cell].mean(axis=1), **{**DOTS, "markersize": 3.6}, color=colour)
        noise.plot(times, corrected[:, ~cell].std(axis=1), **{**DOTS, "markersize": 3.6}, color=colour)
    means.axhline(100, color=FIT, linewidth=2, linestyle="--", label="truth")
    _finish(factors, "factors", "time [s]", "factor")
    _finish(means, "mean of the cell", "time [s]", "counts")
    _finish(noise, "noise of a dark pixel", "time [s]", "counts")
    means.set_ylim(0, 130)
    noise.set_ylim(0, 130)
    factors.legend(fontsize=SMALL, frameon=False, loc="upper left")
    means.legend(fontsize=SMALL, frameon=False, loc="lower left")
    return figure


def denoising() -> Figure:
    """Draw a noisy frame denoised with three weights, and a row of it."""
    rng, side = np.random.default_rng(11), 48
    y, x = np.mgrid[:side, :side]
    cells = 30.0 * (np.hypot(x - 15, y - 24) < 10) + 30.0 * (np.hypot(x - 36, y - 24) < 2.6)
    frame = cells + rng.normal(0, 5, (side, side))
    images = {
        "raw": (frame, REFERENCE),
        "weight=2": (denoise_tv(frame[None], 2)[0], THIRD),
        "weight=8": (denoise_tv(frame[None], 8)[0], DATA),
        "weight=30": (denoise_tv(frame[None], 30)[0], FOURTH),
    }
    figure = _figure(5.0)
    grid = figure.subplots(2, 4, sharey="row", gridspec_kw={"height_ratios": (1.35, 1)})
    for (image, row), (heading, (pixels, colour)) in zip(grid.T, images.items(), strict=True):
        image.imshow(pixels, cmap="gray", vmin=-10, vmax=42)
        image.set(xticks=[], yticks=[])
        image.set_title(heading, fontsize=TITLE_SIZE - 1, fontweight="bold", loc="left", pad=6)
        row.plot(cells[24], color=FIT, linewidth=1.5, linestyle="--", label="truth")
        row.plot(pixels[24], color=colour, linewidth=1.5, label="row 24")
        _finish(row, xlabel="column [px]")
    grid[1, 0].set_ylabel("counts", fontsize=FONT_SIZE)
    grid[1, 0].set_ylim(-15, 57)
    grid[1, 0].legend(fontsize=SMALL, frameon=False, loc="upper right", ncols=2, columnspacing=1)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    function.__name__: function
    for function in (
        backgrounds,
        frame_backgrounds,
        fields,
        bleaching_background,
        models,
        frames_of_a_fit,
        positive_sum,
        traces,
        correction_kinds,
        max_factor,
        intervals,
        decision,
        without_curve,
        noise,
        denoising,
    )
}


def _above(frame: NDArray[Any], background: Profile | RollingBall) -> Array:
    (image,) = background.on(frame.shape, 20).images(frame[None])
    above: Array = frame - image
    return above


def _estimated(times: Array, trace: Array, model: str = "exponential") -> BleachingEstimate:
    return estimate_bleaching(times, trace, background=0.0, fit=FitOptions(model=model))


def _evidence(times: Array, trace: Array) -> float:
    constant, curve = fit_decay(NONE, times, trace), fit_decay(EXPONENTIAL, times, trace)
    return float(max(curve.n_effective - 1.0, MIN_EFFECTIVE) * np.log(constant.rss / curve.rss))


def _fano(counts: NDArray[Any]) -> Array:
    ratio: Array = counts.var(axis=1) / counts.mean(axis=1)
    return ratio


def _snr(counts: NDArray[Any]) -> Array:
    ratio: Array = counts.mean(axis=1) / counts.std(axis=1)
    return ratio


def _figure(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _finish(axes: Axes, heading: str = "", xlabel: str = "", ylabel: str = "") -> None:
    style(axes)
    axes.set_title(heading, fontsize=TITLE_SIZE - 1, fontweight="bold", loc="left", pad=6)
    if xlabel:
        axes.set_xlabel(xlabel, fontsize=FONT_SIZE)
    if ylabel:
        axes.set_ylabel(ylabel, fontsize=FONT_SIZE)


def main() -> None:
    """Draw the pictures that the command line names, or all."""
    parser = argparse.ArgumentParser(description="Draw the pictures of docs/methods.md.")
    parser.add_argument("folder", type=Path, help="such as docs/images")
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], metavar="NAME", help=f"of {', '.join(PICTURES)}")
    options = parser.parse_args()
    for name in options.names or PICTURES:
        save(PICTURES[name](), options.folder / f"methods_{name}.png")


if __name__ == "__main__":
    main()
