"""What the encoders see: the bands of a model as they are, or what `--derive` makes of them."""

from __future__ import annotations

from mmls_tf.config import parse_derive
from mmls_tf.data.known_mask import CHANNEL

TERRAIN = ("curvature", "roughness", "aspect_sine", "aspect_cosine")
ELEVATIONS = ("relative_dem", "highpass_dem")


def channels_of(bands: tuple[str, ...], derive: str, known_mask: bool = False) -> tuple[str, ...]:
    """Returns the names of the channels that encoders see, in their order.

    The bands come first. Absolute elevation gives its place to the first of `relative_dem` and `highpass_dem`
    that is asked for; what else is derived follows, and what is known of masks around. Optical bands keep their names
    whatever their scale.

    Raises:
      UsageError: as `mmls_tf.config.parse_derive` does.
    """
    wanted = parse_derive(derive, bands)
    elevations = [name for name in ELEVATIONS if name in wanted]
    place = elevations[0] if elevations else "dem"
    seen = tuple(place if band == "dem" else band for band in bands)
    terrain = TERRAIN if "terrain" in wanted else ()
    return (*seen, *elevations[1:], *terrain, *((CHANNEL,) if known_mask else ()))
