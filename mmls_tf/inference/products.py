"""From the finished rows of a map to the files that people open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mmls_tf.inference.base_map import read_ground, with_landslides
from mmls_tf.inference.inventory import Inventory, InventoryOptions, write_inventory
from mmls_tf.inference.layers import LANDSLIDE, PROBABILITY
from mmls_tf.inference.map_folder import MapFolder
from mmls_tf.inference.map_page import write_map_page
from mmls_tf.inference.quicklook import write_quicklook
from mmls_tf.inference.record import page_facts
from mmls_tf.raster.byte_map import write_cog
from mmls_tf.raster.map_scene import MapScene

Describe = Callable[[Inventory | None], dict[str, Any]]


def write_products(
    folder: MapFolder, scene: MapScene, options: InventoryOptions, describe: Describe
) -> dict[str, Any]:
    """Writes every product into `folder.products`, but for the record.

    A scene without georeference has no areas: its mask is what was detected, without polygons and page.

    Args:
      describe: from the inventory, None where there is none, to the record.

    Returns:
      The record.
    """
    target = folder.products
    mask, polygons = target / "mask.tif", target / "landslides.gpkg"
    shutil.rmtree(target, ignore_errors=True)  # of an attempt that was killed here
    target.mkdir()
    inventory, final = None, folder.detected
    # GDAL and NumPy leave Python's lock alone, so that on two cores both halves take as long as one.
    with ThreadPoolExecutor(1, "products") as other:
        ground = other.submit(read_ground, scene)
        stored = other.submit(write_cog, folder.probability, target / "probability.tif", PROBABILITY)
        if scene.grid is not None:
            final = folder.partial / "cleaned.tif"
            inventory = write_inventory(
                probability=folder.probability,
                detected=folder.detected,
                scene=scene,
                options=options,
                mask=final,
                geopackage=polygons,
            )
        write_cog(final, mask, LANDSLIDE)
        base = with_landslides(ground.result(), scene, final)
        stored.result()
    write_quicklook(base, scene.grid, target / "quicklook.png")
    record = describe(inventory)
    if scene.grid is not None and inventory is not None:
        write_map_page(base, scene.grid, inventory, page_facts(record), target / "map.html", polygons)
    return record


def product_names(folder: MapFolder) -> list[str]:
    """Returns the names of the products that are there, by name."""
    return sorted(path.name for path in folder.products.iterdir() if not path.name.startswith("."))
