"""A look at some windows of a scene before the work: is it what the runs were trained on?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import InputError, Issue
from mmls_tf.inference.plan import WindowPlan
from mmls_tf.inference.source import PixelSource
from mmls_tf.raster.band_order import order_problem
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.raster import FloatArray, Geotransform, Raster
from mmls_tf.raster.windows import Window

_SAMPLED_WINDOWS = 64
_SAMPLED_PIXELS = 4096  # of each window
_FAR_MEAN = 3.0  # standard deviations of training; bands of Mars lie within two of one another's means
_FAR_VALUE = 6.0
_FLAT = 0.01  # of the deviation of training: metres given in kilometres, DN given from 0 to 1


@dataclass(frozen=True)
class Survey:
    """What some windows show.

    Attributes:
      windows: (pixels in the challenge's band order, raw) of those that have data, float32 [7, tile, tile].
      values: raw values by band, float64 [pixels], a sample over all of them.
    """

    windows: tuple[FloatArray, ...]
    values: dict[str, np.ndarray]


def survey(source: PixelSource, plan: WindowPlan, seen: Sequence[int], path: str) -> Survey:
    """Reads windows evenly spread over a scene, and others until each band that a run sees has shown data.

    Raises:
      InputError: a band that a run sees has no data at all, or no pixel has data in all of them.
    """
    windows: list[FloatArray] = []
    values: dict[str, list[np.ndarray]] = {name: [] for name in BAND_NAMES}
    together = False
    places = [CHALLENGE.order.index(BAND_NAMES[band]) for band in seen]
    for count, window in enumerate(_spread(plan)):
        if count >= _SAMPLED_WINDOWS and together:
            break
        pixels = source.read(window)
        known = pixels != NODATA
        together = together or bool(known[places].all(axis=0).any())
        step = max(1, int(np.ceil(np.sqrt(window.width * window.height / _SAMPLED_PIXELS))))
        for place, name in enumerate(CHALLENGE.order):
            found = pixels[place, ::step, ::step][known[place, ::step, ::step]]
            if found.size:
                values[name].append(found.astype(np.float64))
        if known.any() and len(windows) < _SAMPLED_WINDOWS:
            windows.append(pixels)
    empty = [BAND_NAMES[band] for band in seen if not values[BAND_NAMES[band]]]
    if empty:
        raise InputError(
            [Issue(path, f"data in band {name}, which a run sees", "none") for name in empty],
            f"If they cannot be had, say so: --missing={'+'.join(empty)}. Else check nodata tags and band order.",
        )
    if not together:
        names = ", ".join(BAND_NAMES[band] for band in seen)
        raise InputError([Issue(path, f"pixels with data in all of {names}", "none")])
    joined = {name: np.concatenate(found) for name, found in values.items() if found}
    return Survey(tuple(windows), joined)


def check_order(found: Survey, path: str, geotransform: Geotransform | None, crs_wkt: str | None) -> None:
    """Refuses a scene whose bands are in another order than it says.

    Raises:
      InputError: says what was expected and what the pixels show.
    """
    for pixels in found.windows:
        raster = Raster(pixels, (float(NODATA),) * len(BANDS), geotransform, crs_wkt)
        problem = order_problem(raster, CHALLENGE)
        if problem is not None:
            told = (text.partition(";")[0] for text in (problem.expected, problem.found))
            raise InputError(
                [Issue(path, *told)],
                "Name the order with --order, or pass --check_order=false if it is right.",
            )


def value_remarks(found: Survey, normalisation: Normalisation) -> tuple[str, ...]:
    """Returns what is unlike the train split about the values of the bands that a run sees, with both figures."""
    remarks = []
    for band, mean, std in zip(normalisation.bands, normalisation.mean, normalisation.std, strict=True):
        entry = BANDS[band]
        if not np.isfinite(std) or entry.name not in found.values:
            continue
        values = found.values[entry.name]
        low, high = np.quantile(values, (0.01, 0.99))
        centre, spread = entry.offset + entry.scale * mean, entry.scale * std
        unlike = (
            abs(values.mean() - centre) > _FAR_MEAN * spread
            or low < centre - _FAR_VALUE * spread
            or high > centre + _FAR_VALUE * spread
            or values.std() < _FLAT * spread
        )
        if unlike:
            remarks.append(
                f"{entry.name}: unlike the train split, the map may be wrong: mean {values.mean():.6g}, "
                f"standard deviation {values.std():.4g}, 1 to 99 % from {low:.6g} to {high:.6g} {entry.unit}, "
                f"where training had mean {centre:.6g}, standard deviation {spread:.4g} {entry.unit}"
            )
    return tuple(remarks)


def _spread(plan: WindowPlan) -> Iterator[Window]:
    """Yields all windows, first every n-th one, then those in between."""
    step = max(1, plan.windows // _SAMPLED_WINDOWS)
    columns = len(plan.columns)
    for start in range(step):
        for number in range(start, plan.windows, step):
            row, column = divmod(number, columns)
            yield Window(plan.columns[column], plan.rows[row], plan.tile, plan.tile)
