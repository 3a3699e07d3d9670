"""What a model is, apart from its weights: plain values, as flags and run folders hold them."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.bands import BAND_NAMES, parse_bands
from mmls_tf.config import TrainConfig


@dataclass(frozen=True)
class ModelSpec:
    """An architecture.

    Attributes:
      decoder: a name of `mmls_tf.models.registry.DECODERS`.
      encoder: a name of `mmls_tf.models.encoders.table.ENCODERS`.
      filters: at full resolution; all other widths of the plain encoder and of every decoder are multiples, and 16
        gives the published decoders. Other encoders have widths of their own.
      tile_size: height and width of the input in pixels.
      bands: names of the bands that the model sees, in canonical order.
      fusion: "none", one encoder sees all bands; "concat" or "gated", optical bands have an encoder of their own
        beside the one of terrain and thermal bands, and the two are fused at every level.
      full_skip: brings features at full resolution to the decoder where it or the encoder starts coarser.
    """

    decoder: str
    encoder: str
    filters: int
    tile_size: int
    bands: tuple[str, ...]
    fusion: str = "none"
    full_skip: bool = False

    @staticmethod
    def of(config: TrainConfig, tile_size: int) -> ModelSpec:
        """Returns the architecture that a configuration asks for, for tiles of that height and width."""
        return ModelSpec(
            decoder=config.model,
            encoder=config.encoder,
            filters=config.filters,
            tile_size=tile_size + 2 * config.context,
            bands=tuple(BAND_NAMES[index] for index in parse_bands(config.bands)),
            fusion=config.fusion,
            full_skip=config.full_skip,
        )
