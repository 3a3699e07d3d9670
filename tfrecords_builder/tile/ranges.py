"""Tells metres from kilometres and raw from scaled values before anything is written.

A network trained on bands in other units than it will meet later fails without a message.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mmls_tf.bands import BANDS, Band
from mmls_tf.errors import InputError, Issue
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.nodata import NODATA
from mmls_tf.raster.scene import Scene
from mmls_tf.raster.windows import Window
from tfrecords_builder.tile.rescale import Rescale, accepted, apply_rescale

# What raw values of a unit can be on Mars; MMLSv2 itself spans less (see `mmls_tf.bands`).
_POSSIBLE = {"m": (-9000.0, 22000.0), "degree": (0.0, 90.0), "DN": (0.0, 255.0)}
_SCALED = (-0.6, 1.6)  # canonical values lie in [0, 1] on the train split, a little outside elsewhere
_KILOMETRES = (-9.0, 22.0)
_STEEP_DEGREES = 2.0
_SAMPLED_WINDOWS = 64
_SAMPLED_PIXELS = 4096  # of each window


@dataclass(frozen=True)
class Quantiles:
    """The 1 % and the 99 % quantile of a band's sampled values with data, and how many there were."""

    low: float
    high: float
    count: int


def check_values(path: str, scene: Scene, windows: Sequence[Window], rescale: Rescale) -> None:
    """Refuses bands whose values cannot be raw values of MMLSv2's units, after rescaling.

    Args:
      path: the scene's file, for messages.
      scene: the scene.
      windows: what will be cut; some of them, evenly spread, are sampled.
      rescale: what the user asked for; bands with (1, 0) are accepted as they are.

    Raises:
      InputError: lists every such band with both quantiles, or says that a band has no data at all.
    """
    quantiles = _sample(scene, windows, rescale)
    empty = [name for name in CHALLENGE.order if not quantiles[name].count]
    if empty:
        raise InputError(
            [Issue(path, f"data in band {name}", "none") for name in empty],
            "Check the nodata tags of the file and, with --order, the order of its bands.",
        )
    _refuse(path, quantiles, accepted(rescale))


def _refuse(path: str, quantiles: dict[str, Quantiles], allowed: Collection[str]) -> None:
    suspects = [band for band in BANDS if band.name not in allowed]
    all_scaled = all(_within(quantiles[band.name], _SCALED) for band in BANDS)
    slope = quantiles["slope"].high
    issues, advice = (
        [],
        'Check --order; or convert with --rescale="NAME=GAIN,OFFSET;..." (NAME=1,0 accepts as is).',
    )
    for band in suspects:
        found = quantiles[band.name]
        low, high = _POSSIBLE[band.unit]
        expected = ""
        if not _within(found, (low, high)):
            expected = f"{band.name} in {band.unit}, {low:g} to {high:g}"
        elif all_scaled or (band.unit == "DN" and _within(found, _SCALED)):
            expected = f"{band.name} in raw {band.unit} up to about {band.offset + band.scale:g}, not scaled to [0, 1]"
        elif band.name == "dem" and _within(found, _KILOMETRES) and slope > _STEEP_DEGREES:
            expected = "dem in m, not km (its relief is too small for the slope band)"
        if expected:
            figures = f"a 1 % quantile of {found.low:g} and a 99 % quantile of {found.high:g}"
            issues.append(Issue(path, expected, figures))
    if issues and all_scaled:
        advice = f'If it is scaled as the public release is: --rescale="{_public_inverse(suspects)}"'
    if issues:
        raise InputError(issues, advice)


def _within(found: Quantiles, limits: tuple[float, float]) -> bool:
    return limits[0] <= found.low and found.high <= limits[1]


def _public_inverse(bands: Sequence[Band]) -> str:
    return ";".join(f"{band.name}={band.scale:.10g},{band.offset:.10g}" for band in bands)


def _sample(scene: Scene, windows: Sequence[Window], rescale: Rescale) -> dict[str, Quantiles]:
    """Samples windows evenly spread over the list; goes on to others while a band has shown no data."""
    values: dict[str, list[np.ndarray]] = {name: [] for name in CHALLENGE.order}
    for count, window in enumerate(_spread(windows)):
        if count >= _SAMPLED_WINDOWS and all(values.values()):
            break
        image = apply_rescale(scene.read(window), rescale)
        step = max(1, int(np.ceil(np.sqrt(window.width * window.height / _SAMPLED_PIXELS))))
        for name, plane in zip(CHALLENGE.order, image[:, ::step, ::step], strict=True):
            present = plane[plane != NODATA]
            if present.size:
                values[name].append(present)
    return {name: _quantiles(found) for name, found in values.items()}


def _spread(windows: Sequence[Window]) -> list[Window]:
    """Returns all windows, first every n-th one, then those in between."""
    step = max(1, len(windows) // _SAMPLED_WINDOWS)
    return [window for start in range(step) for window in windows[start::step]]


def _quantiles(values: Sequence[np.ndarray]) -> Quantiles:
    if not values:
        return Quantiles(0.0, 0.0, 0)
    joined = np.concatenate(values)
    # Order statistics, not interpolated: a figure in a message is then a value of the file.
    low, high = np.quantile(joined, (0.01, 0.99), method="nearest")
    return Quantiles(float(low), float(high), joined.size)
