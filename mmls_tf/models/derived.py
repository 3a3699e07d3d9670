"""Input that transfers, computed in the model's graph: what ground looks like from near by, wherever it lies.

Absolute elevation and brightness tell the region that a model was trained in. Here they become elevation above the
surroundings, the shape of the ground, and brightness beside that of the same window. Since it is a layer, every way of
input (tiles, scenes, export) gets it without knowing, and it travels in the `.keras` file.

A model is not told which pixels have data. They are found anew: a pixel has none where **all** bands are exactly 0,
which is what normalisation leaves of such pixels and practically of no other. Those count in no mean and come out as
0. A band that is 0 in the whole window is missing, as band dropout and `--missing` make it: what is derived of it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from mmls_tf.bands import BANDS
from mmls_tf.config import parse_derive
from mmls_tf.models.channels import channels_of
from mmls_tf.raster.mars import PIXEL_M

HIGHPASS_PIXELS = 33  # 7.7 km, a quarter of the side of a tile
ROUGHNESS_PIXELS = 9  # 2.1 km
_FLAT = 0.0087  # tangent of half a degree: the aspect of flatter ground says little, and is made small
_NORMAL_IQR = 1.349  # the interquartile range of a normal distribution in standard deviations
_LEAST_DEVIATION = (
    0.1  # of a band in a window, in standard deviations of training: a plain window is not blown up
)
_SAMPLED = 2  # quartiles are those of every second pixel of every second row
_UNKNOWN = 1e30

# Mean and standard deviation of what is derived, rounded, over the train tiles of MMLSv2: as bands, channels come to
# about zero mean and unit deviation, but by constants of Mars, not of the run.
SCALES = {
    "relative_dem": (0.0, 1300.0),  # m
    "highpass_dem": (0.0, 225.0),  # m
    "curvature": (0.0, 7.5e-4),  # 1 / m
    "roughness": (30.0, 25.0),  # m
    "aspect_sine": (0.0, 0.7),
    "aspect_cosine": (0.0, 0.7),
}
_OPTICAL = {band.name for band in BANDS if band.group == "optical"}


@keras.saving.register_keras_serializable("mmls_tf")
class DerivedBands(layers.Layer):
    """From normalised bands [batch, height, width, bands] to the channels of `channels_of`, in float32.

    relative_dem   elevation above the mean of the window
    highpass_dem   elevation above the mean of the 33 x 33 pixels around
    curvature      of the ground, convex above 0 (Zevenbergen and Thorne 1987)
    roughness      standard deviation, over 9 x 9 pixels, of elevation above the mean of 9 x 9 pixels (residual
                   topography: Cavalli et al. 2008), to which a plane slope adds nothing
    aspect_sine, aspect_cosine   of the direction downhill, clockwise from up in the image, by Horn's gradient (1981)
    red ... gray   with `robust`, less their median over the window, in interquartile ranges

    Means over squares are those of pixels with data inside the window. Curvature and aspect are 0 where one of the
    3 x 3 pixels has no data or lies outside. All but the last use differences of elevation alone.
    """

    def __init__(
        self, bands: tuple[str, ...], derive: str, elevation_m: float | None = None, **kwargs: Any
    ) -> None:
        """Prepares for the bands of a model.

        Args:
          bands: their names, in the order of the channels.
          derive: as the flag.
          elevation_m: metres of a unit of normalised elevation.

        Raises:
          UsageError: the bands are not there from which `derive` is to be computed.
          ValueError: elevation is needed, and its unit is not given.
        """
        # Whatever the precision of the model: bfloat16 holds less than three digits of an elevation.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.bands, self.derive, self.elevation_m = tuple(bands), derive, elevation_m
        self._wanted = parse_derive(derive, self.bands)
        self._channels = channels_of(self.bands, derive)
        if self._relief and elevation_m is None:
            raise ValueError(f"derive={derive}: expected elevation_m, found None")

    @property
    def _relief(self) -> bool:
        return any(name != "robust" for name in self._wanted)

    def call(self, x: Any) -> Any:
        """Returns the channels, 0 where no band has data."""
        known = ops.cast(ops.any(ops.not_equal(x, 0.0), axis=-1, keepdims=True), "float32")
        found = {name: x[..., place : place + 1] for place, name in enumerate(self.bands)}
        if "robust" in self._wanted:
            found |= _robust({name: found[name] for name in self.bands if name in _OPTICAL}, known)
        if self._relief:
            elevation = found["dem"]
            told = ops.cast(ops.any(ops.not_equal(elevation, 0.0), axis=(1, 2, 3), keepdims=True), "float32")
            found |= _relief(elevation * self.elevation_m, known, told, self._channels)
        return ops.concatenate([found[name] for name in self._channels], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the output."""
        return (*input_shape[:-1], len(self._channels))

    def get_config(self) -> dict[str, Any]:
        """Returns what the constructor takes."""
        own = {"bands": list(self.bands), "derive": self.derive, "elevation_m": self.elevation_m}
        return {**super().get_config(), **own}


def box_sum(x: Any, size: int) -> Any:
    """Returns sums over the `size` x `size` pixels around each, of which those outside count as 0.

    Sums of 2, 4, 8 ... pixels are each two of the ones before: a few passes over the image, in float32 on every device
    (convolutions and products of matrices are not, on TPU).

    Args:
      x: [batch, height, width, channels].
      size: a power of two and one more.
    """
    for axis in (1, 2):
        length, reach = x.shape[axis], size // 2
        edges = [(reach, reach) if place == axis else (0, 0) for place in range(4)]
        padded = sums = ops.pad(x, edges)
        span = 1
        while span < size - 1:
            count = sums.shape[axis] - span
            sums = _part(sums, axis, 0, count) + _part(sums, axis, span, count)
            span *= 2
        x = _part(sums, axis, 0, length) + _part(padded, axis, size - 1, length)
    return x


def _part(x: Any, axis: int, start: int, count: int) -> Any:
    whole = slice(None)
    return x[(whole,) * axis + (slice(start, start + count),)]


def _relief(metres: Any, known: Any, told: Any, wanted: tuple[str, ...]) -> dict[str, Any]:
    """Returns the channels out of `SCALES` that are wanted, scaled; 0 where not `known`, and all 0 where not `told`.

    Args:
      metres: elevation [batch, height, width, 1].
      known: 1.0 where there are data, [batch, height, width, 1].
      told: 1.0 for images with elevation, [batch, 1, 1, 1].
    """
    count = ops.maximum(ops.sum(known, axis=(1, 2), keepdims=True), 1.0)
    relative = (metres - ops.sum(metres * known, axis=(1, 2), keepdims=True) / count) * known
    found = {}
    if "relative_dem" in wanted:
        found["relative_dem"] = relative
    if "highpass_dem" in wanted:
        found["highpass_dem"] = relative - _local_mean(relative, known, HIGHPASS_PIXELS)
    if "curvature" in wanted:
        found |= _surface(relative, known)
    return {name: (x - SCALES[name][0]) / SCALES[name][1] * known * told for name, x in found.items()}


def _local_mean(x: Any, known: Any, size: int) -> Any:
    return box_sum(x * known, size) / ops.maximum(box_sum(known, size), 1.0)


def _surface(elevation: Any, known: Any) -> dict[str, Any]:
    """Returns curvature (1/m), roughness (m) and the aspect's sine and cosine of elevations in metres."""
    residual = elevation - _local_mean(elevation, known, ROUGHNESS_PIXELS)
    mean = _local_mean(residual, known, ROUGHNESS_PIXELS)
    variance = _local_mean(ops.square(residual), known, ROUGHNESS_PIXELS) - ops.square(mean)
    east, south, curvature = _differences(elevation)
    all_nine = ops.cast(box_sum(known, 3) > 8.5, "float32")
    steepness = ops.sqrt(ops.square(east) + ops.square(south) + _FLAT**2)
    return {
        "roughness": ops.sqrt(ops.maximum(variance, 0.0)),
        "curvature": curvature * all_nine,
        "aspect_sine": -east / steepness * all_nine,  # downhill is against the gradient, and up is north
        "aspect_cosine": south / steepness * all_nine,
    }


def _differences(elevation: Any) -> tuple[Any, Any, Any]:
    """Returns Horn's gradient to the right and down, metres a metre, and the curvature in 1/m; 0 along the border."""
    rows, columns = elevation.shape[1:3]

    def at(down: int, right: int) -> Any:
        return elevation[:, 1 + down : rows - 1 + down, 1 + right : columns - 1 + right]

    right = sum(weight * (at(row, 1) - at(row, -1)) for row, weight in ((-1, 1.0), (0, 2.0), (1, 1.0)))
    down = sum(
        weight * (at(1, column) - at(-1, column)) for column, weight in ((-1, 1.0), (0, 2.0), (1, 1.0))
    )
    bend = 4.0 * at(0, 0) - at(-1, 0) - at(1, 0) - at(0, -1) - at(0, 1)
    parts = (right / (8.0 * PIXEL_M), down / (8.0 * PIXEL_M), bend / PIXEL_M**2)
    east, south, curvature = (ops.pad(part, ((0, 0), (1, 1), (1, 1), (0, 0))) for part in parts)
    return east, south, curvature


def _robust(optical: Mapping[str, Any], known: Any) -> dict[str, Any]:
    """Returns bands less their median, in standard deviations as their quartiles suggest them."""
    x = ops.concatenate(list(optical.values()), axis=-1)
    low, middle, high = _quartiles(x[:, ::_SAMPLED, ::_SAMPLED], known[:, ::_SAMPLED, ::_SAMPLED])
    deviation = ops.maximum((high - low) / _NORMAL_IQR, _LEAST_DEVIATION)
    told = ops.cast(ops.any(ops.not_equal(x, 0.0), axis=(1, 2), keepdims=True), "float32")
    scaled = (x - middle) / deviation * known * told
    return {name: scaled[..., place : place + 1] for place, name in enumerate(optical)}


def _quartiles(x: Any, known: Any) -> list[Any]:
    """Returns three times [batch, 1, 1, channels], as by `numpy.quantile` of the pixels with data; 0 of none."""
    channels = x.shape[-1]
    count = ops.sum(known, axis=(1, 2))[..., None]  # [batch, 1, 1]
    values = ops.reshape(ops.where(known > 0, x, _UNKNOWN), (-1, x.shape[1] * x.shape[2], channels))
    values = ops.sort(values, axis=1)  # those without data come last
    found = []
    for share in (0.25, 0.5, 0.75):
        place = share * ops.maximum(count - 1.0, 0.0)
        below = ops.floor(place)
        above = ops.minimum(below + 1.0, ops.maximum(count - 1.0, 0.0))
        first, second = (_at(values, ops.cast(index, "int32")) for index in (below, above))
        quartile = first + (place - below) * (second - first)
        found.append(ops.where(count > 0, quartile, 0.0)[:, None])
    return found


def _at(values: Any, index: Any) -> Any:
    """Returns [batch, 1, channels]: of values [batch, pixels, channels] those at index [batch, 1, 1]."""
    return ops.take_along_axis(values, ops.repeat(index, values.shape[-1], axis=-1), axis=1)
