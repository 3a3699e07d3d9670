"""The configuration of a comparison."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.raster.vector import POLYGON_CRS


@dataclass(frozen=True)
class CompareConfig:
    """Which map to compare with which truth. Every field is a flag of `python -m mmls_tf.compare`."""

    truth: str = option(
        None,
        "True landslides: polygons (GeoPackage, shapefile, GeoJSON) in any CRS of Mars; or masks of 0 and 1: a "
        "GeoTIFF, several joined by commas, or a folder of tiles.",
    )
    map: str = option(None, "Folder that mmls_tf.predict has written, or any mask of 0, 1 and 255 (no data).")
    out: str = option("", "JSON file for the scores; empty: comparison.json in the folder of the map.")
    min_overlap: float = option(
        0.5,
        "Share of a true landslide's area that must be mapped for it to be found, and of a mapped one's area that "
        "must be true for it to be right.",
    )
    sizes: str = option("10,100,1000", "Areas in km2, ascending, between the size classes.")
    region: str = option(
        "",
        "Compare within this region only: a file of polygons, or west,south,east,north in the units of the map's "
        "CRS.",
    )
    layer: str = option("", "Layer of --truth; may be left out where it has only one.")
    where: str = option("", "Which features of --truth count, in OGR's SQL: \"kind = 'slide'\".")
    polygons_crs: str = option(
        "file",
        "CRS of the polygons of --truth: what the file says, scene (that of the map), or degrees on Mars.",
        POLYGON_CRS,
    )
    overwrite: bool = option(False, "Replace --out.")

    def __post_init__(self) -> None:
        for name in ("truth", "map"):
            if not getattr(self, name):
                raise UsageError(f"--{name}: expected a path, found nothing")
        if not 0.0 < self.min_overlap <= 1.0:
            raise UsageError(f"--min_overlap={self.min_overlap}: expected a share above 0, to 1")
        assert self.size_limits  # checks the text

    @property
    def size_limits(self) -> tuple[float, ...]:
        """Areas in km2 between the size classes, ascending.

        Raises:
          UsageError: no ascending numbers above 0.
        """
        try:
            limits = tuple(float(word) for word in self.sizes.split(","))
        except ValueError:
            limits = ()
        if not limits or limits[0] <= 0 or any(not low < high for low, high in itertools.pairwise(limits)):
            raise UsageError(f"--sizes={self.sizes}: expected ascending numbers above 0, joined by commas")
        return limits
