"""A script written for flimage, of which only the import line is changed.

Run it as ``python move_from_flimage.py [FOLDER]``. It simulates the frames of a camera.
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import flimage_dask as flimage
from flimage_dask.simulate import Simulation


def main(folder: Path) -> None:
    """Collect frames in a series, denoise it, and correct the denoised series with the bleaching of the raw one."""
    paths = [folder / name for name in ("series.h5", "denoised.h5", "corrected.h5")]
    for path in paths:
        path.unlink(missing_ok=True)
    series_path, denoised_path, corrected_path = paths

    simulation = Simulation(n_frames=60, frame_interval=2.0)
    with flimage.FLSeries(h5file=series_path, h5mode="w", identifier="cells") as fls:
        for k, (frame, time) in enumerate(zip(simulation.frames(0, 60), simulation.times, strict=True)):
            fls.add_flimage(flimage.FLImage(data=frame, meta_data={"time": time, "identifier": f"cells_{k}"}))

    with flimage.FLSeries(h5file=series_path, h5mode="r") as fls:
        fls.denoise(denoised_path)
        with flimage.FLSeries(h5file=denoised_path, h5mode="r") as denoised:
            bg, flint, decay, times = fls.bleach_correction(corrected_path, border_px=20, flscorr=denoised)
    print(f"background {bg:.2f} counts; intensity falls to {flint[-1] / flint[0]:.1%} in {times[-1]:g} s")
    print(f"correction factor of the last frame: {decay[0] / decay[-1]:.3f}")

    with flimage.FLSeries(h5file=corrected_path, h5mode="r") as corrected:
        last = corrected["cells_59"]
        print(f"{last}, brightest pixel {last.fl.max():.0f} counts")


if __name__ == "__main__":
    results = Path(sys.argv[1] if len(sys.argv) > 1 else mkdtemp(prefix="flimage_dask_"))
    results.mkdir(parents=True, exist_ok=True)
    main(results)
