"""Masks of train tiles around a tile as one more channel: what is mapped already tells where a landslide goes on.

Beside images, a network may be shown which of the surroundings are known to be landslide, and which not. The tile in
the middle, whose landslides are asked for, is always hidden, and so are all masks but those of train tiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.schema import UNKNOWN_LABEL

CHANNEL = "known_mask"
_NOTHING, _BACKGROUND, _LANDSLIDE = 0, 1, 2


def encode_mask(mask: npt.NDArray[np.uint8], valid: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Returns codes of a mask {0, 1, 255}: 0 nothing known, which it is without valid data too, 1 background, 2
    landslide."""
    known = (mask != UNKNOWN_LABEL) & (valid > 0)
    return np.where(known, np.where(mask == 1, _LANDSLIDE, _BACKGROUND), _NOTHING).astype(np.uint8)


def as_channel(codes: Any, margin: int) -> Any:
    """Returns what a network sees of codes: -1 background, 1 landslide, 0 nothing known, and 0 inside the margin.

    Args:
      codes: float32 [..., side, side, 1], in NumPy or in what Keras computes with.
      margin: pixels of surroundings on every side of the tile.
    """
    side = codes.shape[-2]
    frame = np.ones((side, side, 1), np.float32)
    frame[margin : side - margin, margin : side - margin] = 0.0
    # The parabola through (0, 0), (1, -1) and (2, 1): arithmetic is the same everywhere.
    return codes * (1.5 * codes - 2.5) * frame


def with_known(
    image: npt.NDArray[np.float32], target: npt.NDArray[np.uint8], margin: int
) -> npt.NDArray[np.float32]:
    """Returns an image [side, side, bands], with the channel if its target has codes as a third channel."""
    if target.shape[-1] == 2:
        return image
    return np.concatenate([image, as_channel(target[..., 2:].astype(np.float32), margin)], axis=-1)


def show_nothing(images: npt.NDArray[np.floating], channels: int) -> npt.NDArray[np.floating]:
    """Returns images [batch, side, side, channels]: with an empty channel more, if that is what a network expects."""
    if images.shape[-1] != channels - 1:
        return images
    return np.concatenate([images, np.zeros_like(images[..., :1])], axis=-1)
