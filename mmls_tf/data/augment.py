"""Random changes of training batches: image, mask and validity move together.

Written once in keras.ops, so that they run as stages of tf.data (beside the training step) or inside the compiled step,
under any backend, and on whole batches, where they are cheapest. What happens is drawn before, in
`mmls_tf.data.draws`; nothing here is random.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from mmls_tf.bands import BANDS
from mmls_tf.data.normalise import Normalisation


class Augmentation:
    """What the changes need to know beside the draws: bands and their normalisation, and a table of noise."""

    def __init__(self, normalisation: Normalisation, side: int) -> None:
        """Prepares for images [batch, side, side, bands]."""
        bands = normalisation.bands
        self._optical = [BANDS[band].group == "optical" for band in bands]
        self._mean = np.array(normalisation.mean, np.float32)
        self._std = np.array(normalisation.std, np.float32)
        # A table of normal numbers, cut anywhere: far cheaper than drawing a number for every pixel of every step.
        self._noise = (
            np.random.default_rng(0).normal(size=(2 * side, 2 * side, len(bands))).astype(np.float32)
        )

    def __call__(self, image: Any, target: Any, draws: Mapping[str, Any]) -> tuple[Any, Any]:
        """Changes a batch.

        Args:
          image: float32 [batch, side, side, bands], normalised, 0.0 where invalid.
          target: float32 [batch, side, side, 2 or 3] (mask {0, 1, 255}, valid {0, 1}, codes of known masks {0, 1, 2}).
          draws: of `draw_changes`; what is not among them is left alone.

        Returns:
          (image, target), shaped as given, 0.0 again where invalid.
        """
        both = ops.concatenate([image, target], axis=-1)
        if "cross" in draws:
            both = mosaic(both, draws["cross"])
        bands = image.shape[-1]
        if "crop" in draws:
            image, target = zoom(both[..., :bands], both[..., bands:], draws["crop"])
            both = ops.concatenate([image, target], axis=-1)
        if "turn" in draws:
            both = turn(both, draws["turn"])
        image, target = both[..., :bands], both[..., bands:]
        if "told" in draws:
            told = target[..., 2:] * ninths(draws["told"], target.shape[1])
            target = ops.concatenate([target[..., :2], told], axis=-1)
        return self._change_values(image, draws, target[..., 1:2]), target

    def _change_values(self, image: Any, draws: Mapping[str, Any], valid: Any) -> Any:
        if "gamma" in draws:
            image = self._brighten(image, draws["gamma"])
        if "gain" in draws:
            image = image * _per_band(draws["gain"]) + _per_band(draws["bias"])
        if "noise" in draws:
            side = image.shape[1]
            noise = cut(ops.convert_to_tensor(self._noise), draws["noise_at"], side)
            image = image + noise * draws["noise"][:, None, None, None]
        if "gain" in draws or "noise" in draws or "gamma" in draws:
            image = image * valid
        if "kept" in draws:
            image = image * _per_band(draws["kept"])
        return image

    def _brighten(self, image: Any, gamma: Any) -> Any:
        """Raises canonical values, in [0, 1] or nearly so, of optical bands to a power."""
        power = gamma[:, None, None, None]
        changed = []
        for band, optical in enumerate(self._optical):
            values = image[..., band : band + 1]
            if optical:
                mean, std = float(self._mean[band]), float(self._std[band])
                values = (ops.power(ops.maximum(values * std + mean, 0.0), power) - mean) / std
            changed.append(values)
        return ops.concatenate(changed, axis=-1)


def _per_band(values: Any) -> Any:
    return values[:, None, None, :]


def turn(values: Any, which: Any) -> Any:
    """Applies to each square [batch, side, side, channels] one of eight symmetries: the bits of `which` [batch] are
    upside down, left to right, and rows for columns, in this order."""
    for bit, change in enumerate(
        (
            lambda v: ops.flip(v, axis=1),
            lambda v: ops.flip(v, axis=2),
            lambda v: ops.transpose(v, (0, 2, 1, 3)),
        )
    ):
        chosen = ops.floor_divide(which, 2**bit) % 2 == 1
        values = ops.where(chosen[:, None, None, None], change(values), values)
    return values


def mosaic(values: Any, cross: Any) -> Any:
    """Fills the parts below and to the right of a cross with those of the next three tiles of the batch (the mosaic of
    Bochkovskiy et al. 2020, arXiv 2004.10934, without its changes of scale).

    Args:
      values: [batch, side, side, channels].
      cross: int [batch, 2], row and column; `side` where nothing is to be filled.
    """
    line = ops.arange(values.shape[1])
    below = (line[None, :] >= cross[:, :1])[:, :, None, None]
    beside = (line[None, :] >= cross[:, 1:])[:, None, :, None]
    second, third, fourth = (ops.roll(values, -shift, axis=0) for shift in (1, 2, 3))
    upper = ops.where(beside, second, values)
    lower = ops.where(beside, fourth, third)
    return ops.where(below, lower, upper)


def zoom(image: Any, target: Any, crop: Any) -> tuple[Any, Any]:
    """Enlarges a square of each tile to the whole: bilinear for the image, the nearest pixel for masks.

    A pixel is valid if all that it was interpolated from is. Interpolation is a product with two matrices a tile, which
    every accelerator is made for, where resampling at computed places is a gather.

    Args:
      image: float32 [batch, side, side, bands].
      target: float32 [batch, side, side, 2 or 3].
      crop: float32 [batch, 3]: row and column of the upper left corner and side of the square, in pixels.
    """
    side = image.shape[1]
    line = ops.cast(ops.arange(side), "float32")
    weights = []
    for axis in (0, 1):
        place = crop[:, axis : axis + 1] + (line[None, :] + 0.5) * crop[:, 2:] / side - 0.5
        place = ops.clip(place, 0.0, side - 1.0)[:, :, None]  # [batch, pixel of the result, 1]
        smooth = ops.maximum(1.0 - ops.abs(place - line), 0.0)
        weights.append((smooth, ops.cast(ops.equal(ops.floor(place + 0.5), line), "float32")))
    (down, nearest_down), (right, nearest_right) = weights
    # The share of invalid pixels, not that of valid ones: accelerators round the factors of a product, and then weights
    # that make up 1 may miss it, where a sum of zeros stays zero.
    smooth = _resample(ops.concatenate([image, 1.0 - target[..., 1:2]], axis=-1), down, right)
    masks = ops.concatenate([target[..., :1], target[..., 2:]], axis=-1)
    masks = ops.round(_resample(masks, nearest_down, nearest_right))
    valid = ops.cast(smooth[..., -1:] < 1e-3, "float32")
    return smooth[..., :-1] * valid, ops.concatenate([masks[..., :1], valid, masks[..., 1:]], axis=-1)


def _resample(values: Any, down: Any, right: Any) -> Any:
    return ops.einsum("bpj,bijc->bipc", right, ops.einsum("boi,bijc->bojc", down, values))


def ninths(values: Any, side: int) -> Any:
    """Spreads values [batch, 3, 3] over the ninths of squares, [batch, side, side, 1]."""
    place = np.arange(side) * 3 // side
    return ops.take(ops.take(values, place, axis=1), place, axis=2)[..., None]


def cut(sheet: Any, corners: Any, side: int) -> Any:
    """Returns squares [batch, side, side, channels] of a sheet [rows, columns, channels] at int corners [batch, 2]."""
    rows, columns, channels = sheet.shape
    line = ops.arange(side)
    row = ops.cast(corners[:, :1], "int32") + line[None, :]
    column = ops.cast(corners[:, 1:], "int32") + line[None, :]
    index = row[:, :, None] * columns + column[:, None, :]
    return ops.take(ops.reshape(sheet, (rows * columns, channels)), index, axis=0)
