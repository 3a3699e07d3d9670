"""The one table of architectures."""

from __future__ import annotations

from collections.abc import Callable

import keras

from mmls_tf.models.unet import unet

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
ARCHITECTURES: dict[str, Callable[[int, int, int], keras.Model]] = {"unet": unet}


def build_model(
    name: str, tile_size: int, bands: int, filters: int, precision: str, seed: int
) -> keras.Model:
    """Builds an architecture by name, with weights that `seed` determines.

    Args:
      precision: float32, or bfloat16 for mixed precision (float32 variables and logits).
    """
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_POLICIES[precision])
    try:
        return ARCHITECTURES[name](tile_size, bands, filters)
    finally:
        keras.config.set_dtype_policy(before)
