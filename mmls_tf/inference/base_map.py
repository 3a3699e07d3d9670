"""What landslides are shown on: the relief of a scene, or its colours, at a size for the eye."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmls_tf.raster.hillshade import hill_shade
from mmls_tf.raster.map_scene import MapScene, pixel_metres_of
from mmls_tf.raster.mars import PIXEL_M
from mmls_tf.raster.overview import Cells, band_overview, cells_of, share_overview
from mmls_tf.raster.raster import ByteArray, FloatArray

MOST_CELLS = 1800  # with its margins the quick-look stays under 2000 pixels a side, the page under about 6 MB
EXAGGERATION = 2.0  # as in the pictures of evaluations: slopes of a few degrees are seen
_STRETCH_PERCENT = (1.0, 99.0)
# The first of these whose bands a scene has, and which has data, is drawn.
_GROUNDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("hill-shade of the elevation", ("dem",)),
    ("red, green, blue", ("red", "green", "blue")),
    ("gray band", ("gray",)),
    ("thermal inertia", ("thermal_inertia",)),
    ("slope", ("slope",)),
    ("red band", ("red",)),
    ("green band", ("green",)),
    ("blue band", ("blue",)),
)


@dataclass(frozen=True)
class Ground:
    """What a scene looks like, reduced to cells.

    Attributes:
      cells: how many pixels make a cell, and how many cells there are.
      ground: uint8 [rows, columns] or, in colours, [rows, columns, 3].
      known: bool [rows, columns], where the ground has data.
      subject: what the ground shows, in words.
    """

    cells: Cells
    ground: ByteArray
    known: npt.NDArray[np.bool_]
    subject: str

    @property
    def in_colours(self) -> bool:
        """Whether the ground has colours of its own."""
        return self.ground.ndim == 3


@dataclass(frozen=True)
class BaseMap(Ground):
    """The same with what was predicted.

    Attributes:
      landslide: float32 [rows, columns], the share of landslide among the predicted pixels; NaN where there are none.
    """

    landslide: FloatArray


def read_ground(scene: MapScene, most: int = MOST_CELLS) -> Ground:
    """Reads a scene, window by window, into at most `most` cells a side; memory does not grow with the scene."""
    cells = cells_of(scene, most)
    for subject, names in _GROUNDS:
        if set(names) <= set(scene.order):
            bands = band_overview(scene, names, cells)
            known: npt.NDArray[np.bool_] = ~np.isnan(bands.sum(axis=0))
            if known.any():
                ground = _shaded(bands[0], scene, cells) if names == ("dem",) else _stretched(bands, known)
                return Ground(cells, ground, known, subject)
    empty = np.zeros((cells.rows, cells.columns), np.uint8)
    return Ground(cells, empty, empty > 0, "no data")


def with_landslides(ground: Ground, scene: MapScene, mask: Path) -> BaseMap:
    """Reads a scene's mask into the cells of its ground, window by window.

    Args:
      mask: uint8 raster on the grid of the scene: 1 landslide, 0 none, 255 no data.

    Raises:
      RasterError: the mask cannot be read, or is of another size.
    """
    landslide = share_overview(mask, scene, ground.cells)
    return BaseMap(ground.cells, ground.ground, ground.known, ground.subject, landslide)


def _shaded(dem: FloatArray, scene: MapScene, cells: Cells) -> ByteArray:
    across, down = (PIXEL_M, PIXEL_M) if scene.grid is None else pixel_metres_of(scene.grid)
    return hill_shade(dem, (across * cells.factor, down * cells.factor), EXAGGERATION)


def _stretched(bands: FloatArray, known: npt.NDArray[np.bool_]) -> ByteArray:
    """Returns bands as bytes; all are stretched alike, so that colours keep their balance."""
    low, high = np.percentile(bands[:, known], _STRETCH_PERCENT)
    scaled = np.clip((bands - low) / max(high - low, 1.0), 0.0, 1.0)
    picture = np.rint(255.0 * np.where(known, scaled, 0.0)).astype(np.uint8)
    return picture[0] if len(picture) == 1 else np.moveaxis(picture, 0, -1)
