"""What a seamless map is worth beside tiles predicted one by one: scores on the same pixels, and jumps at seams.

    python -m mmls_tf.predict --run=runs/unet --scene=raw/train,raw/val,raw/test,raw/isolated --out=map
    python -m benchmarks.seams --run=runs/unet --map=map --data=data --split=isolated [--out=docs/results/seams.json]

Every labelled tile of the split is scored twice, by its own prediction and by what the map says of its pixels. A jump
is the absolute difference of probability between two pixels side by side: `border` where they lie in two tiles that
abut, `inside` where they lie in one. Their ratio is near 1 where tiles leave no trace. On the isolated split the two
scores are one evaluation more, and are entered in the ledgers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.confusion import Confusion, count_pixels
from mmls_tf.evaluation.ledger import enter, require_writable
from mmls_tf.files import write_text
from mmls_tf.schema import LEDGER_NAME, TileEntry

Plane = npt.NDArray[np.float32]
_BATCH = 16


@dataclass(frozen=True)
class SeamsConfig:
    """What to compare."""

    run: str = option(None, "Run folder.")
    map: str = option(
        None, "Folder that mmls_tf.predict has made of a scene with the tiles, by the same run."
    )
    data: str = option("data", "Data set of the tiles, with georeference.")
    split: str = option("isolated", "Split.", ("train", "val", "test", "isolated"))
    out: str = option("", "JSON file to write; empty: none.")


@dataclass
class Tally:
    """Scores and jumps of one way to predict."""

    confusion: Confusion = field(default_factory=Confusion)
    inside: list[float] = field(default_factory=lambda: [0.0, 0])
    border: list[float] = field(default_factory=lambda: [0.0, 0])

    def summary(self) -> dict[str, Any]:
        """Returns the metrics, the mean jumps, and border / inside."""
        inside, border = (total / count for total, count in (self.inside, self.border))
        jumps = {"inside": inside, "border": border, "ratio": border / inside}
        return {**self.confusion.metrics(), "mean_jump": jumps, "border_pixels": self.border[1]}


def jumps(first: Plane, second: Plane) -> tuple[float, int]:
    """Returns the sum and the number of absolute differences where both are numbers."""
    found = np.abs(first.astype(np.float64) - second)
    return float(np.nansum(found)), int(np.isfinite(found).sum())


def add_jumps(tally: Tally, planes: dict[str, Plane], entries: dict[str, TileEntry]) -> None:
    """Adds the jumps inside all tiles, and those to their neighbours to the east and to the south."""
    for key, plane in planes.items():
        pairs = [(tally.inside, plane[:, :-1], plane[:, 1:]), (tally.inside, plane[:-1], plane[1:])]
        neighbours = entries[key].neighbours
        if (east := planes.get(neighbours.get("E", ""))) is not None:
            pairs.append((tally.border, plane[:, -1], east[:, 0]))
        if (south := planes.get(neighbours.get("S", ""))) is not None:
            pairs.append((tally.border, plane[-1], south[0]))
        for sums, first, second in pairs:
            total, count = jumps(first, second)
            sums[0] += total
            sums[1] += count


def read_map(folder: Path, entries: dict[str, TileEntry], size: int) -> Iterator[tuple[str, Plane, Plane]]:
    """Yields (key, probability, landslide), [size, size] each, NaN where the map has no data.

    Raises:
      UsageError: a tile does not lie on the pixels of the map.
    """
    from mmls_tf.inference.layers import PROBABILITY
    from mmls_tf.raster.byte_map import NODATA_BYTE
    from mmls_tf.raster.geotiff import open_alone
    from mmls_tf.raster.windows import Window, read_window

    layers = [open_alone(folder / name, "one band") for name in ("probability.tif", "mask.tif")]
    west, across, _, north, _, down = layers[0].GetGeoTransform()
    for key, entry in entries.items():
        if entry.geotransform is None:
            raise UsageError(f"--data: expected tiles with georeference, found none for {key}")
        place = ((entry.geotransform[0] - west) / across, (entry.geotransform[3] - north) / down)
        column, row = (round(number) for number in place)
        if max(abs(place[0] - column), abs(place[1] - row)) > 0.01:
            raise UsageError(
                f"--map={folder}: expected tile {key} on its pixels, found it at {place[0]:.2f}, {place[1]:.2f}"
            )
        pixels = [read_window(layer, Window(column, row, size, size), NODATA_BYTE)[0] for layer in layers]
        probability, landslide = (np.where(plane == NODATA_BYTE, np.nan, plane) for plane in pixels)
        yield key, (probability * PROBABILITY.scale).astype(np.float32), landslide.astype(np.float32)


def measure(config: SeamsConfig) -> dict[str, Any]:
    """Returns scores and jumps of both ways, on the pixels that are labelled and that the map knows."""
    from mmls_tf.data.dataset import open_dataset
    from mmls_tf.prediction.member import load_member, require_fit
    from mmls_tf.prediction.tiles import predict_tiles

    dataset = open_dataset(Path(config.data))
    member = load_member(Path(config.run), "auto", "tensorflow")
    require_fit(dataset, member)
    ledgers = [member.folder.ledger, dataset.root / "isolated" / LEDGER_NAME]
    if config.split == "isolated":
        require_writable(ledgers)
    entries = {entry.key: entry for entry in dataset.manifest.tiles if entry.split == config.split}
    mapped = {
        key: (probability, landslide)
        for key, probability, landslide in read_map(Path(config.map), entries, dataset.manifest.tile_size)
    }
    alone, seamless = Tally(), Tally()
    planes: dict[str, Plane] = {}
    for tile, probability in predict_tiles([member], dataset, config.split, _BATCH):
        landslide = mapped[tile.key][1]
        known = np.isfinite(landslide)
        alone.confusion += count_pixels(probability > 0.5, tile.mask, known)
        seamless.confusion += count_pixels(landslide > 0, tile.mask, known)
        planes[tile.key] = np.where(known, probability, np.nan).astype(np.float32)
    add_jumps(alone, planes, entries)
    add_jumps(seamless, {key: probability for key, (probability, _) in mapped.items()}, entries)
    result = {
        "command": command_line(),
        "split": config.split,
        "tiles": len(planes),
        "pixels": alone.confusion.pixels,
        "tile by tile": alone.summary(),
        "seamless": seamless.summary(),
    }
    if config.split == "isolated":
        enter(ledgers, {"command": command_line(), "miou": result["seamless"]["miou"]})
    return result


def main() -> None:
    """Compares and prints."""
    config = config_from_flags(SeamsConfig)
    start_backend("tensorflow")
    result = measure(config)
    for way in ("tile by tile", "seamless"):
        found = result[way]
        jump = found["mean_jump"]
        print(
            f"{way:<13} mIoU {found['miou']:.4f}  jump inside {jump['inside']:.4f}, across borders "
            f"{jump['border']:.4f}, ratio {jump['ratio']:.2f}"
        )
    print(f"{result['tiles']} tiles, {result['pixels']} pixels of {config.split}")
    if config.out:
        write_text(Path(config.out), json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    define_flags(SeamsConfig)
    run(main)
