"""The flags of `python -m tfrecords_builder.stack`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from mmls_tf.bands import BAND_NAMES
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.raster.warp import RESAMPLINGS

_BAND_HELP = "PATH, or PATH:N for band N of a file."


@dataclass(frozen=True)
class StackConfig:
    """What to bring together, on which grid, to where; every field is a flag.

    Raises:
      UsageError: bands are missing, or flags do not go together.
    """

    out: str = option(
        None, "GeoTIFF to write: seven float32 bands in the challenge's order, with a nodata tag."
    )
    dem: str = option("", f"Elevation in metres. {_BAND_HELP} Its extent is the mosaic's.")
    red: str = option("", f"Red. {_BAND_HELP}")
    green: str = option("", f"Green. {_BAND_HELP}")
    blue: str = option("", f"Blue. {_BAND_HELP}")
    thermal_inertia: str = option("", f"Thermal inertia. {_BAND_HELP}")
    gray: str = option("", f"Grayscale picture. {_BAND_HELP}")
    slope: str = option(
        "", f"Slope in degrees. {_BAND_HELP} Empty: derived from the DEM as `gdaldem slope` does."
    )
    tiles: str = option(
        "",
        "Instead of single bands: comma-separated folders of seven-band tiles, joined by their georeference.",
    )
    like: str = option("", "Raster whose grid (CRS, pixels and extent) the mosaic takes; empty: the DEM's.")
    pixel_m: float = option(0.0, "Pixel size in metres, over the DEM's extent; 0: that of the DEM's file.")
    resampling: str = option("bilinear", "How values between pixels are found.", RESAMPLINGS)
    assume_crs: bool = option(False, "Take the DEM's CRS where a file has none.")
    drivers: str = option("GTiff", "GDAL drivers that may open the sources, comma-separated.")
    overwrite: bool = option(False, "Replace --out.")

    def __post_init__(self) -> None:
        if not self.out:
            raise UsageError("--out: expected a path such as mosaic.tif, found nothing")
        if not (isfinite(self.pixel_m) and self.pixel_m >= 0.0):
            raise UsageError(f"--pixel_m={self.pixel_m}: expected 0 (the DEM's pixels) or more")
        if self.like and self.pixel_m:
            raise UsageError("--like, --pixel_m: expected one of them, found both")
        if self.resampling not in RESAMPLINGS:
            raise UsageError(f"--resampling={self.resampling}: expected one of {', '.join(RESAMPLINGS)}")
        given = [name for name in BAND_NAMES if getattr(self, name)]
        if self.tiles:
            given += [name for name in ("like", "pixel_m", "assume_crs") if getattr(self, name)]
            if given:
                raise UsageError(f"--tiles: expected no --{given[0]} with it; tiles are joined as they are")
            return
        missing = [name for name in BAND_NAMES if name not in given and name != "slope"]
        if missing:
            flags = ", ".join(f"--{name}" for name in missing)
            raise UsageError(
                f"{flags}: expected a raster file for each, found nothing (or --tiles=FOLDER alone)"
            )
