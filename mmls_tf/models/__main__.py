"""Lists decoders, encoders and models with what they cost: `python -m mmls_tf.models`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmls_tf.backend import start_backend
from mmls_tf.bands import parse_bands
from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError


@dataclass(frozen=True)
class ListConfig:
    """What to list, and for which input. Every field is a flag of `python -m mmls_tf.models`."""

    model: str = option("", "List models of this decoder, over every encoder or over --encoder.")
    encoder: str = option("", "List models over this encoder, of every decoder or of --model.")
    configs: str = option("configs", "Folder of *.flags files whose models are listed.")
    filters: int = option(16, "Filters, as for training; files in --configs have their own.")
    bands: str = option("all", "Bands, as for training; files in --configs may have their own.")
    tile_size: int = option(128, "Height and width of a tile in pixels.")

    def __post_init__(self) -> None:
        parse_bands(self.bands)
        for name in ("filters", "tile_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name}={getattr(self, name)}: expected 1 or more")


def main() -> None:
    """Prints tables: decoders, encoders and configurations; or the models that the flags ask for."""
    config = config_from_flags(ListConfig)
    start_backend("auto")
    from mmls_tf.models import listing  # after the backend, which importing Keras fixes

    count = len(parse_bands(config.bands))
    print("Costs are trainable parameters, and multiply-accumulates (MACs)")
    print(
        f"for a tile of {config.tile_size} x {config.tile_size} pixels, {count} band{'s' * (count > 1)}, "
        f"{config.filters} filters.\n"
    )
    if config.model or config.encoder:
        listing.print_models(config.model, config.encoder, config.bands, config.filters, config.tile_size)
        return
    listing.print_decoders()
    listing.print_encoders(count, config.filters, config.tile_size)
    listing.print_configurations(Path(config.configs), config.tile_size)


define_flags(ListConfig)

if __name__ == "__main__":
    run(main)
