"""The flags of `python -m tfrecords_builder.tile`."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.bands import BAND_NAMES
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.raster.scene import parse_order
from mmls_tf.raster.vector import POLYGON_CRS, VECTOR_DRIVERS
from mmls_tf.raster.windows import Edge
from mmls_tf.schema import SPLITS
from tfrecords_builder.tile.rescale import parse_rescale

MIN_TILE_SIZE = 8
MAX_TILE_SIZE = 4096


@dataclass(frozen=True)
class TileConfig:
    """What to cut, into what, to where; every field is a flag.

    Raises:
      UsageError: a value is out of range, or a list names something unknown.
    """

    scene: str = option(None, "Georeferenced mosaic with the seven bands.")
    out: str = option(None, "Folder of tiles; OUT/SPLIT/images and OUT/SPLIT/masks are written.")
    split: str = option("train", "Name of the split folder in OUT.", SPLITS)
    polygons: str = option(
        "", f"Landslide outlines ({', '.join(VECTOR_DRIVERS)}) in any CRS of the planet; empty: images only."
    )
    layer: str = option("", "Layer of --polygons; needed where it has several.")
    where: str = option("", "Filter on the attributes of --polygons, such as \"kind = 'slide'\".")
    polygons_crs: str = option(
        "file",
        "What the coordinates of --polygons are. file: what the file says; scene: those of the scene; "
        "degrees: longitude and latitude on the scene's planet (GeoJSON without a `crs` claims to be Earth).",
        POLYGON_CRS,
    )
    tile_size: int = option(128, "Height and width of a tile in pixels.")
    stride: int = option(0, "Pixels from one tile to the next; 0: tile_size, so that tiles abut.")
    edge: str = option(
        "shift",
        "What to do with a remainder at the right and lower edge. shift: move the last tiles back until they "
        "fit, as the published data did; drop: leave it out.",
        ("shift", "drop"),
    )
    min_valid: float = option(
        0.5, "Least share of pixels with data in all bands; tiles with less are left out."
    )
    order: str = option(
        "",
        f"Band order of the scene, comma-separated out of {', '.join(BAND_NAMES)}; empty: its band descriptions "
        "if they are these names, else the challenge's order.",
    )
    rescale: str = option(
        "",
        "NAME=GAIN,OFFSET;... makes raw values, value * gain + offset, of bands stored otherwise. NAME=1,0 leaves "
        "a band as it is and accepts values out of the expected range.",
    )
    drivers: str = option("GTiff", "GDAL drivers that may open the scene, comma-separated.")
    overwrite: bool = option(False, "Replace OUT/SPLIT.")

    def __post_init__(self) -> None:
        for name in ("scene", "out"):
            if not getattr(self, name):
                raise UsageError(f"--{name}: expected a path, found nothing")
        if not MIN_TILE_SIZE <= self.tile_size <= MAX_TILE_SIZE:
            raise UsageError(f"--tile_size={self.tile_size}: expected {MIN_TILE_SIZE} to {MAX_TILE_SIZE}")
        if self.stride < 0:
            raise UsageError(f"--stride={self.stride}: expected 0 (tile_size) or more")
        if not 0.0 <= self.min_valid <= 1.0:
            raise UsageError(f"--min_valid={self.min_valid}: expected a share from 0 to 1")
        for name in ("layer", "where"):
            if getattr(self, name) and not self.polygons:
                raise UsageError(f"--{name}: expected together with --polygons, which is not given")
        if self.polygons_crs != "file" and not self.polygons:
            raise UsageError("--polygons_crs: expected together with --polygons, which is not given")
        if self.split not in SPLITS:
            raise UsageError(f"--split={self.split}: expected one of {', '.join(SPLITS)}")
        if self.edge not in ("shift", "drop"):
            raise UsageError(f"--edge={self.edge}: expected shift or drop")
        parse_order(self.order)
        parse_rescale(self.rescale)

    @property
    def step(self) -> int:
        """Pixels from one tile to the next."""
        return self.stride or self.tile_size

    @property
    def edge_rule(self) -> Edge:
        """`edge` as the windows' planner takes it."""
        return "shift" if self.edge == "shift" else "drop"
