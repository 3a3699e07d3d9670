"""The band table: the one place that knows the seven bands, their order, units and scaling."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.errors import UsageError


@dataclass(frozen=True)
class Band:
    """One band of the canonical tile: canonical value = (raw value - offset) / scale.

    `offset` and `scale` are the minimum and the range over the published train split, the constants with
    which the public release of MMLSv2 (arXiv 2602.08112) was scaled. Nothing is clipped: other splits
    lie somewhat outside [0, 1].
    """

    name: str
    title: str
    unit: str
    offset: float
    scale: float
    group: str


BANDS: tuple[Band, ...] = (
    Band("red", "red", "DN", 18.0, 189.0, "optical"),
    Band("green", "green", "DN", 18.0, 213.0, "optical"),
    Band("blue", "blue", "DN", 18.0, 237.0, "optical"),
    Band("dem", "elevation", "m", -5834.0, 12822.0, "terrain"),
    Band("slope", "slope", "degree", 0.0, 62.8026087, "terrain"),
    Band("thermal_inertia", "thermal inertia", "DN", 0.0, 254.0, "thermal"),
    Band("gray", "grayscale", "DN", 0.0, 254.0, "optical"),
)
BAND_NAMES: tuple[str, ...] = tuple(band.name for band in BANDS)

_SETS: dict[str, tuple[str, ...]] = {
    "all": BAND_NAMES,
    "rgb": ("red", "green", "blue"),
    **{
        group: tuple(band.name for band in BANDS if band.group == group)
        for group in ("optical", "terrain", "thermal")
    },
    **{name: (name,) for name in BAND_NAMES},
}


def parse_bands(text: str, flag: str = "bands") -> tuple[int, ...]:
    """Returns the indices into `BANDS` of a `+`-joined union of sets, such as `rgb+dem` or `all`.

    The order is always the canonical one, whatever the order in `text`; `flag` is named in errors.

    Raises:
      UsageError: a name is neither a band nor a set of bands.
    """
    chosen: set[str] = set()
    for name in text.split("+"):
        if name.strip() not in _SETS:
            raise UsageError(
                f"--{flag}={text}: expected names joined by '+' out of {', '.join(_SETS)}; found {name.strip()!r}"
            )
        chosen.update(_SETS[name.strip()])
    return tuple(index for index, name in enumerate(BAND_NAMES) if name in chosen)
