"""Simulations that the figures of docs/methods.md come from.

``python -m tests.benchmarks.methods`` runs all of them (about an hour on one core); name some, and give
``--share 0.1`` for a tenth of the simulations: ``python -m tests.benchmarks.methods steady --share 0.1``.
Every simulation has its own seed: the same command prints the same figures, with any number of ``--processes``.
"""

import argparse
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median
from time import perf_counter

import dask.array as da
import numpy as np
from scipy.optimize import least_squares

from flimage_dask.correction.background import border_mask
from flimage_dask.correction.bleaching import estimate_bleaching
from flimage_dask.correction.models import BIEXPONENTIAL, EXPONENTIAL, LINEAR_EXPONENTIAL, STRETCHED
from flimage_dask.correction.options import FitOptions
from flimage_dask.correction.preparation import Preparation
from flimage_dask.correction.profiles import Profile
from flimage_dask.correction.rolling_ball import RollingBall
from flimage_dask.correction.scaled import ScaledTrace
from flimage_dask.correction.separable import fit_globally, shape_limits

MODELS = (EXPONENTIAL, BIEXPONENTIAL, LINEAR_EXPONENTIAL, STRETCHED)
CORRELATIONS = {"white": 0.0, "AR(1) 0.5": 0.5, "AR(1) 0.8": 0.8}


def noise(rng, n, correlation=0.0):
    """Make noise of variance 1 whose neighbours are correlated."""
    values = rng.normal(size=n)
    for k in range(1, n if correlation else 0):
        values[k] = correlation * values[k - 1] + np.sqrt(1.0 - correlation**2) * values[k]
    return values


def estimated(times, trace, model="exponential", **options):
    """Estimate the bleaching of a trace without a background."""
    return estimate_bleaching(times, trace, background=0.0, fit=FitOptions(model=model, **options))


def optimum(share, simulated):
    """Compare the residual sum with the best of 200 random starts of scipy's least squares.

    Each trace is fitted with the model that it was made from and with another one in turn.
    """
    worst = dict.fromkeys((model.name for model in MODELS), -1.0)
    n_fits = Counter()
    n_traces = round(500 * share)
    for n_done, excess_of in enumerate(simulated(above_optimum, n_traces), 1):
        n_fits.update(excess_of.keys())
        worst |= {name: max(worst[name], excess) for name, excess in excess_of.items()}
        if n_done % 50 == 0 or n_done == n_traces:
            for name, excess in worst.items():
                result = f"at most {excess:.1e} above the best of 200 random starts"
                print(f"optimum  {name:20} {n_fits[name]} of {n_done} traces: {result}", flush=True)


def above_optimum(seed):
    """Return how far the residual sum of a random trace lies above the best of random starts, for two models."""
    rng = np.random.default_rng(seed)
    n = int(np.exp(rng.uniform(np.log(12), np.log(2000))))
    times = np.sort(rng.uniform(0, 1, n)) if seed % 3 == 0 else np.linspace(0, 1, n)
    truth = MODELS[seed % 4]
    rates = 10 ** rng.uniform(-0.5, 2, 2)
    shape = [rng.uniform(0.3, 1) if p.limits else rates[k] for k, p in enumerate(truth.shape_parameters)]
    curve = truth.matrix(times, np.array(shape)) @ rng.uniform(0.1, 1, len(truth.coefficients))
    level = 10 ** rng.uniform(-3, np.log10(0.3)) * curve.max()
    trace = ScaledTrace.of(times, curve + level * noise(rng, n))
    excess_of = {}
    for model in dict.fromkeys((truth, MODELS[seed // 4 % len(MODELS)])):
        best = best_of_random_starts(model, trace, rng, 200)
        excess_of[model.name] = fit_globally(model, trace).rss / best - 1.0
    return excess_of


def best_of_random_starts(model, trace, rng, n_starts):
    """Search all parameters at once with scipy, between the same limits."""
    n_linear = len(model.coefficients)
    low, high = shape_limits(model, trace)

    def residuals(values):
        return model.matrix(trace.tau, np.exp(values[n_linear:])) @ values[:n_linear] - trace.intensity

    def jacobian(values):
        shape = np.exp(values[n_linear:])
        slopes = model.slope_matrix(trace.tau, shape) @ values[:n_linear]
        return np.concatenate([model.matrix(trace.tau, shape), slopes.T], axis=1)

    lowest = np.array([parameter.lowest for parameter in model.coefficients])
    bounds = np.concatenate([lowest, low]), np.concatenate([np.full(n_linear, np.inf), high])
    starts = np.column_stack([rng.uniform(0, 1, (n_starts, n_linear)), rng.uniform(low, high, (n_starts, len(low)))])
    return min(2.0 * least_squares(residuals, start, jacobian, bounds=bounds).cost for start in starts)


def units(share, simulated):
    """Compare the factors of the same trace in other units."""
    worst = dict.fromkeys((model.name for model in MODELS), 0.0)
    n_traces = round(50 * share)
    for seed in range(n_traces):
        rng = np.random.default_rng(seed)
        times = np.arange(60.0)
        trace = 60 * np.exp(-0.1 * times) + 30 * np.exp(-0.01 * times) + 20 + rng.normal(0, 1, 60)
        for model in MODELS:
            reference = estimated(times, trace, model.name).factors
            scaled = [(1e3, 1), (1 / 3600, 1), (1, 1e-6), (1, 1e6)]
            others = [estimated(times * unit, trace * gain, model.name).factors for unit, gain in scaled]
            others.append(estimated(times + 1.7e9, trace, model.name).factors)
            worst[model.name] = max(worst[model.name], *(np.abs(other / reference - 1).max() for other in others))
    for name, difference in worst.items():
        print(f"units    {name:20} {n_traces} traces: factors differ by at most {difference:.1e}")


def coverage(share, simulated):
    """Count how often the 68 % interval of a factor holds the true one."""
    for correlation in (0.0, 0.5):
        for n in (30, 100, 300, 1000):
            for bleached in (0.05, 0.2, 0.5, 0.9):
                for level in (0.001, 0.01, 0.05):
                    times = np.arange(float(n))
                    inside = partial(inside_interval, times, decay_by(bleached, n), level, correlation, "exponential")
                    setting = f"AR(1) {correlation:.1f}  {n:5} frames  bleached {bleached:4.0%}  noise {level:5.1%}"
                    print(f"coverage {setting}: {covered(simulated(inside, round(1000 * share)))}", flush=True)


def decay_by(bleached, n):
    """Make an exponential decay that loses a part of its first frame up to the last of n frames."""
    times = np.arange(float(n))
    rate = 2.0 / n
    amplitude = bleached / (1.0 - np.exp(-rate * (n - 1)))
    if amplitude > 1.0:
        return np.exp(np.log(1.0 - bleached) * times / (n - 1))
    return amplitude * np.exp(-rate * times) + 1.0 - amplitude


def richer(share, simulated):
    """Count how often the 68 % interval of a factor holds the true one, for the richer models."""
    curves = {
        "biexponential": lambda tau: 0.5 * np.exp(-30 * tau) + 0.4 * np.exp(-2 * tau) + 0.1,
        "linear+exponential": lambda tau: 0.4 * np.exp(-20 * tau) - 0.4 * tau + 0.6,
        "stretched": lambda tau: 0.9 * np.exp(-((10 * tau) ** 0.5)) + 0.1,
    }
    for model, curve in curves.items():
        for n in (100, 300):
            tau = np.linspace(0, 1, n)
            for level in (0.002, 0.01, 0.05):
                for correlation in (0.0, 0.5):
                    inside = partial(inside_interval, tau, curve(tau), level, correlation, model)
                    setting = f"{model:20} AR(1) {correlation:.1f}  {n:4} frames  noise {level:5.1%}"
                    print(f"richer   {setting}: {covered(simulated(inside, round(500 * share)))}", flush=True)


def inside_interval(times, truth, level, correlation, model, seed):
    """Tell whether the last factor lies in its interval, and how many do; None for a series not called bleaching."""
    trace = truth + level * noise(np.random.default_rng(seed), len(truth), correlation)
    found = estimated(times, trace, model)
    if found.status != "bleaching":
        return None
    low, high = found.factor_interval
    inside = (low <= truth[0] / truth) & (truth[0] / truth <= high)
    return inside[-1], inside[1:].mean()


def covered(results):
    """Say how many true factors lie inside their intervals, of the series that are called bleaching."""
    results = list(results)
    inside = np.array([result for result in results if result is not None]).reshape(-1, 2)
    last, every = inside.mean(axis=0) if len(inside) else (np.nan, np.nan)
    return f"last factor {last:.1%}, all {every:.1%}, called bleaching {len(inside) / len(results):.1%}"


def steady(share, simulated):
    """Count how often a steady series is taken for a bleaching one."""
    for name, correlation in CORRELATIONS.items():
        for n in (30, 100, 300, 1000):
            status = partial(status_of, np.arange(n), np.full(n, 1000.0), 20.0, correlation)
            wrong = share_bleaching(simulated(status, round(2000 * share)))
            print(f"steady   {name:10} {n:5} frames: {wrong:.2%} called bleaching", flush=True)


def found(share, simulated):
    """Count how often weak bleaching is found."""
    times = np.arange(100.0)
    for strength in (1.0, 2.0, 3.0):
        decay = np.exp(-times / 40)
        truth = 1000 + 20 * strength * (decay - decay[-1]) / (1 - decay[-1])
        right = share_bleaching(simulated(partial(status_of, times, truth, 20.0, 0.0), round(2000 * share)))
        print(f"found    100 frames, bleached by {strength:.0f} x the noise of a frame: {right:.1%}", flush=True)


def status_of(times, truth, level, correlation, seed):
    """Return what "auto" calls a noisy series."""
    trace = truth + level * noise(np.random.default_rng(seed), len(truth), correlation)
    return estimated(times, trace, "auto").status


def share_bleaching(statuses):
    """Return how many series are called bleaching."""
    return np.mean([status == "bleaching" for status in statuses])


def plateaus(share, simulated):
    """Count how often a plateau before a decay is seen, where there is one and where there is none."""
    times = np.arange(100.0)
    decay = 0.5 + 0.5 * np.exp(-times / 30)
    series = {
        f"{n_level} level frames, then a decay to a half, noise {level:.1%}": (
            0.5 + 0.5 * np.exp(-np.maximum(times - n_level, 0) / 30),
            level,
            noise,
        )
        for n_level in (10, 20, 40)
        for level in (0.002, 0.01, 0.03)
    }
    series |= {
        "steady, AR(1) 0.5": (np.ones(100), 0.02, partial(noise, correlation=0.5)),
        "steady, AR(1) 0.8": (np.ones(100), 0.02, partial(noise, correlation=0.8)),
        "random walk": (np.ones(100), 0.002, random_walk),
        "decay from the first frame, white": (decay, 0.02, noise),
        "decay from the first frame, AR(1) 0.8": (decay, 0.02, partial(noise, correlation=0.8)),
    }
    for name, (truth, level, noise_of) in series.items():
        results = simulated(partial(plateau_and_status, times, truth, level, noise_of), round(300 * share))
        seen, called = np.mean(list(results), axis=0)
        told = f"plateau seen in {seen:.1%}, called bleaching {called:.1%}"
        print(f"plateaus 100 frames, {name}: {told}", flush=True)


def random_walk(rng, n):
    """Add up noise of variance 1."""
    return np.cumsum(noise(rng, n))


def plateau_and_status(times, truth, level, noise_of, seed):
    """Tell whether a plateau is seen, and whether the series is called bleaching."""
    found = estimated(times, truth + level * noise_of(np.random.default_rng(seed), len(truth)))
    return any("level up to frame" in text for text in found.warnings), found.status == "bleaching"


def choice(share, simulated):
    """Count how often "auto" chooses the curve that a series was made from."""
    n_simulations = round(500 * share)
    tau = np.linspace(0, 1, 200)
    curves = {
        "exponential": (0.8 * np.exp(-5 * tau) + 0.2, (0.002, 0.01, 0.05)),
        "biexponential": (0.5 * np.exp(-30 * tau) + 0.4 * np.exp(-2 * tau) + 0.1, (0.002, 0.01)),
        "linear+exponential": (0.4 * np.exp(-20 * tau) - 0.4 * tau + 0.6, (0.002, 0.01)),
        "stretched": (0.9 * np.exp(-((10 * tau) ** 0.5)) + 0.1, (0.002,)),
    }
    for name, (truth, levels) in curves.items():
        for level in levels:
            chosen = Counter(simulated(partial(chosen_model, tau, truth, level), n_simulations))
            told = ", ".join(f"{model} {count / n_simulations:.1%}" for model, count in chosen.most_common())
            print(f"choice   {name:20} 200 frames, noise {level:.1%}: {told}", flush=True)


def chosen_model(times, truth, level, seed):
    """Return the model that "auto" chooses."""
    return estimated(times, truth + level * noise(np.random.default_rng(seed), len(truth)), "auto").model


def weak(share, simulated):
    """Compare the mean error of the last factor of a weakly bleaching series with its stated error."""
    times = np.arange(100.0)
    for bleached in (0.05, 0.1, 0.3):
        decay = np.exp(-times / 40)
        truth = 1.0 - bleached * (1.0 - decay) / (1.0 - decay[-1])
        errors, stated = np.array(list(simulated(partial(errors_of_last, times, truth), round(1000 * share)))).T
        print(
            f"weak     bleached {bleached:4.0%}, noise 0.5 %: mean error of the last factor {np.mean(errors):+.5f}, "
            f"scatter {np.std(errors):.5f}, stated {np.mean(stated):.5f}"
        )


def errors_of_last(times, truth, seed):
    """Return the error of the last factor, and the stated one."""
    found = estimated(times, truth + 0.005 * noise(np.random.default_rng(seed), len(truth)))
    return found.factors[-1] - truth[0] / truth[-1], found.factors[-1] * found.factor_errors[-1]


def speed(share, simulated):
    """Time the fits of a trace of 100,000 frames."""
    tau = np.linspace(0, 1, 100_000)
    truth = 0.5 * np.exp(-100 * tau) + 0.4 * np.exp(-3 * tau) + 0.1
    trace = truth + 0.02 * noise(np.random.default_rng(0), len(tau))
    for model in ("exponential", "biexponential", "linear+exponential", "stretched", "auto"):
        start = perf_counter()
        estimated(tau, trace, model)
        print(f"speed    {model:20} 100,000 frames: {perf_counter() - start:.2f} s")


def background(share, simulated):
    """Compare backgrounds with those of qpimage and scikit-image, and time poly2o against numpy frame by frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optional parts that qpimage misses
        from qpimage.bg_estimate import estimate
    from skimage.restoration import rolling_ball

    # Fewer would measure how long threads take to begin.
    frames = curved_frames(round(256 * share) or 1, 512)
    some = frames[:: -(-len(frames) // 4)]
    references = {
        **{
            kind: (Profile(kind), lambda frame, kind=kind: qpimages(estimate, frame, kind))
            for kind in ("tilt", "poly2o")
        },
        "rolling ball": (RollingBall(10), lambda frame: rolling_ball(frame, radius=10)),
    }
    for name, (ours, reference) in references.items():
        images = ours.on(frames.shape[1:], BORDER_PX).images(some)
        worst = max(np.abs(image / reference(frame) - 1).max() for image, frame in zip(images, some, strict=True))
        print(f"background {name:12} {len(some)} frames of 512 x 512: differs by at most {worst:.1e}", flush=True)
    ways = {
        "flimage_dask, one thread": lambda: subtract_with(frames, "synchronous"),
        "flimage_dask, all threads": lambda: subtract_with(frames, "threads"),
        "numpy, lstsq for each frame": lambda: subtract_with_numpy(frames, each=True),
        "numpy, one QR for all frames": lambda: subtract_with_numpy(frames, each=False),
    }
    seconds = {way: [] for way in ways}
    for _ in range(5):
        for way, job in ways.items():
            start = perf_counter()
            job()
            seconds[way].append(perf_counter() - start)
    _, threads, *_ = seconds.values()
    for way, turns in seconds.items():
        ratio = median(mine / ours for mine, ours in zip(turns, threads, strict=True))
        each = 1e3 * median(turns) / len(frames)
        print(f"background poly2o, {way:28} {each:6.2f} ms a frame, {ratio:5.2f} x all threads", flush=True)


BORDER_PX = 20


def curved_frames(n, side):
    """Make frames with a curved background that bleaches, cells in the middle and noise of their light."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    lamp, cells = 100 + 20 * y - 10 * x + 5 * x * y + 8 * y**2, 400 * (np.hypot(x, y) < 0.6)
    return np.stack([rng.poisson(lamp * np.exp(-k / n) + cells) for k in range(n)]).astype(np.float32)


def qpimages(estimate, frame, kind):
    """Return the background that qpimage fits."""
    return estimate(frame.astype(float), fit_offset="fit", fit_profile=kind, border_px=BORDER_PX)


def subtract_with(frames, scheduler):
    """Subtract the second-order profile of each frame in blocks of 8, as lazy arrays do it."""
    preparation = Preparation(background=Profile("poly2o").on(frames.shape[1:], BORDER_PX))
    blocks = da.from_array(frames, chunks=(8, -1, -1), name=False)
    corrected = np.empty_like(frames)
    lazy = blocks.map_blocks(lambda block: preparation.applied(block.copy()), meta=frames[:0])
    lazy.store(corrected, lock=False, scheduler=scheduler)
    return corrected


def subtract_with_numpy(frames, each):
    """Subtract the same profile frame by frame, solving anew for each, or with one decomposition for all."""
    mask = border_mask(frames.shape[1:], BORDER_PX)
    x, y = np.indices(frames.shape[1:]) - np.array(frames.shape[1:])[:, None, None] // 2
    terms = np.stack([np.ones(mask.shape), x, y, x * y, x**2, y**2], axis=-1)
    chosen = terms[mask]
    q, r = np.linalg.qr(chosen)
    corrected = np.empty_like(frames)
    for frame, target in zip(frames, corrected, strict=True):
        pixels = frame[mask].astype(np.float64)
        fit = np.linalg.lstsq(chosen, pixels, rcond=None)[0] if each else np.linalg.solve(r, q.T @ pixels)
        target[...] = frame - terms @ fit
    return corrected


SIMULATIONS = {
    function.__name__: function
    for function in (optimum, units, coverage, richer, steady, found, plateaus, choice, weak, speed, background)
}


def main():
    """Run the simulations that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SIMULATIONS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the simulations, such as 0.1")
    parser.add_argument("--processes", type=int, default=1, help="that simulate at a time")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:

        def simulated(function, n_simulations):
            """Give the results of a function of the seed, in the order of the seeds."""
            return pool.map(function, range(n_simulations), chunksize=max(1, n_simulations // (8 * options.processes)))

        for name in options.names or SIMULATIONS:
            start = perf_counter()
            SIMULATIONS[name](options.share, simulated)
            print(f"         {name} took {perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
