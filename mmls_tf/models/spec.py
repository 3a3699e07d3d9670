"""What a model is, apart from its weights: plain values, as flags and run folders hold them."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.bands import BAND_NAMES, BANDS, parse_bands
from mmls_tf.config import TrainConfig
from mmls_tf.data.normalise import Normalisation
from mmls_tf.models.channels import channels_of


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
      derive: what is computed from the bands before an encoder sees them, as the flag; see `mmls_tf.models.derived`.
      elevation_m: metres of a unit of normalised elevation, for what is derived of it; None: not known.
      known_mask: whether a channel after the bands tells which masks around are known; see `mmls_tf.data.known_mask`.
    """

    decoder: str
    encoder: str
    filters: int
    tile_size: int
    bands: tuple[str, ...]
    fusion: str = "none"
    full_skip: bool = False
    derive: str = "none"
    elevation_m: float | None = None
    known_mask: bool = False

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that encoders see."""
        return channels_of(self.bands, self.derive, self.known_mask)

    @staticmethod
    def of(config: TrainConfig, tile_size: int, normalisation: Normalisation | None = None) -> ModelSpec:
        """Returns the architecture that a configuration asks for, for tiles of that height and width.

        Args:
          normalisation: of the run; where elevations are derived a model cannot be built without it.
        """
        return ModelSpec(
            decoder=config.model,
            encoder=config.encoder,
            filters=config.filters,
            tile_size=tile_size + 2 * config.context,
            bands=tuple(BAND_NAMES[index] for index in parse_bands(config.bands)),
            fusion=config.fusion,
            full_skip=config.full_skip,
            derive=config.derive,
            elevation_m=_elevation_m(normalisation) if config.derive != "none" else None,
            known_mask=config.context_masks != "none",
        )


def _elevation_m(normalisation: Normalisation | None) -> float | None:
    place = BAND_NAMES.index("dem")
    if normalisation is None or place not in normalisation.bands:
        return None
    return normalisation.std[normalisation.bands.index(place)] * BANDS[place].scale
