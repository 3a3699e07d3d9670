"""Coordinate reference systems as WKT: which planet, degrees or metres."""

from __future__ import annotations

from typing import Any

from mmls_tf.raster.geotiff import load_gdal
from mmls_tf.raster.mars import MARS_RADIUS_M

_PLANET_TOLERANCE = 0.01  # spheres and ellipsoids of one planet differ by less, planets by more
_FLATTENING_TOLERANCE = 1e-4


def reference(wkt: str) -> Any:
    """Returns an `osr.SpatialReference` whose coordinates go east first, then north, as files store them."""
    load_gdal()
    from osgeo import osr

    system = osr.SpatialReference(wkt=wkt)
    system.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return system


def radius_m(wkt: str) -> float:
    """Returns the equatorial radius of the system's body in metres; 0.0 where it has none."""
    system = reference(wkt)
    return 0.0 if system.IsLocal() else float(system.GetSemiMajor())


def is_geographic(wkt: str) -> bool:
    """Tells whether coordinates are degrees rather than lengths."""
    return bool(reference(wkt).IsGeographic())


def metres_per_unit(wkt: str) -> float:
    """Returns the length of a projected system's unit."""
    return float(reference(wkt).GetLinearUnits())


def same_planet(one: float, other: float) -> bool:
    """Tells whether two equatorial radii in metres can be of one planet."""
    return abs(one - other) <= _PLANET_TOLERANCE * max(one, other)


def is_mars(wkt: str) -> bool:
    """Tells whether a system lies on Mars, by its radius."""
    return same_planet(radius_m(wkt), MARS_RADIUS_M)


def latitudes_differ(one: str, other: str) -> bool:
    """Tells whether one system lies on a sphere and the other on an ellipsoid.

    Between those, a latitude may be meant from the centre or from the vertical; the two differ by up to
    0.34 degrees on Mars, and no file says which. Latitudes are carried over as they are.
    """
    flattenings = [
        1.0 / inverse if (inverse := reference(wkt).GetInvFlattening()) else 0.0 for wkt in (one, other)
    ]
    return abs(flattenings[0] - flattenings[1]) > _FLATTENING_TOLERANCE


def equirectangular(wkt: str) -> str:
    """Returns the simple cylindrical projection, in metres, of the body on which `wkt` lies."""
    load_gdal()
    from osgeo import osr

    system = osr.SpatialReference()
    system.SetProjCS("Simple cylindrical")
    system.CopyGeogCSFrom(reference(wkt))
    system.SetEquirectangular(0.0, 0.0, 0.0, 0.0)
    system.SetLinearUnits("metre", 1.0)
    return str(system.ExportToWkt())


def describe(wkt: str) -> str:
    """Returns a system's name and radius for messages."""
    return f"{reference(wkt).GetName()} (radius {radius_m(wkt) / 1000.0:.1f} km)"
