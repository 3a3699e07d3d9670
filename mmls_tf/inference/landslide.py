"""Landslides of a map and their inventory, as records."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from mmls_tf.errors import UsageError


@dataclass(frozen=True)
class InventoryOptions:
    """What becomes of the connected parts of a map. Each is 0 for off.

    Attributes:
      min_area_km2: smaller landslides are dropped.
      fill_holes_km2: smaller holes in landslides are filled, with what lies in them, where there are data.
      simplify_m: by how many metres the outlines in the GeoPackage may leave the edges of the pixels. Everything that
        is measured, and the mask, belongs to the outlines before.
    """

    min_area_km2: float = 0.0
    fill_holes_km2: float = 0.0
    simplify_m: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise UsageError(f"--{field.name}={value}: expected 0 (off) or a number above it")


@dataclass(frozen=True)
class Landslide:
    """One connected part of a map (4 neighbours): a polygon of the inventory and its attributes.

    Attributes:
      id: from 1 on, by area, the largest first.
      pixels: how many it has.
      area_km2: on the sphere of 3396.19 km.
      perimeter_km: of the outline along the edges of the pixels, holes included, on that sphere. Such an outline is a
        staircase: along a diagonal it is 1.41 times as long as the line.
      length_km, width_km: longer and shorter side of the rectangle of least area around it, of any direction, in
        Lambert's azimuthal equal-area projection about its centroid.
      mean_probability, max_probability: over its pixels, in [0, 1], in steps of 1/254 as stored.
      mean_slope_deg, mean_elevation_m: over those of its pixels where the scene has the band; None where it has not.
      lon, lat: of its centroid in the projection of the scene, degrees, east positive from -180 to 180.
    """

    id: int
    pixels: int
    area_km2: float
    perimeter_km: float
    length_km: float
    width_km: float
    mean_probability: float
    max_probability: float
    mean_slope_deg: float | None
    mean_elevation_m: float | None
    lon: float
    lat: float


FIELDS = {
    field.name: int if field.name in ("id", "pixels") else float for field in dataclasses.fields(Landslide)
}


@dataclass(frozen=True)
class Inventory:
    """The landslides of a map.

    Attributes:
      landslides: by id.
      options: what they were made with.
      dropped: how many parts were smaller than `options.min_area_km2`.
      dropped_km2: their area together.
      filled_km2: how much of their area was not detected but filled, as holes.
      mapped_km2: area of the pixels with data, landslide or not, on the sphere.
    """

    landslides: tuple[Landslide, ...]
    options: InventoryOptions
    dropped: int
    dropped_km2: float
    filled_km2: float
    mapped_km2: float

    @property
    def area_km2(self) -> float:
        """Area of all landslides together."""
        return math.fsum(landslide.area_km2 for landslide in self.landslides)

    @property
    def share(self) -> float:
        """Share of the mapped area that is landslide, 0.0 where nothing is mapped."""
        return self.area_km2 / self.mapped_km2 if self.mapped_km2 else 0.0

    def summary(self) -> dict[str, Any]:
        """Returns the totals, without the landslides, for JSON files."""
        return {
            "landslides": len(self.landslides),
            "area_km2": self.area_km2,
            "mapped_km2": self.mapped_km2,
            "share": self.share,
            "dropped": self.dropped,
            "dropped_km2": self.dropped_km2,
            "filled_km2": self.filled_km2,
            **dataclasses.asdict(self.options),
        }
