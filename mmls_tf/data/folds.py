"""Cross-validation: the tiles of train and val dealt anew, and the statistics that belong to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mmls_tf.bands import BAND_NAMES
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.tiles import read_tiles
from mmls_tf.errors import DatasetError
from mmls_tf.schema import TRAINING_SPLITS, BandStatistics, TileEntry

_SEED = 0  # of the deal: folds belong to the data set, not to a run, so that runs can be compared


def with_folds(dataset: Dataset, folds: tuple[str, int], fold: int) -> Dataset:
    """Returns the data set with fold `fold` as val and the others as train; test and isolated stay as they are.

    Folds by blocks leave out of train what lies within one tile of val, and whatever has no known place.

    Args:
      folds: random or blocks, and their number.

    Raises:
      DatasetError: there are too few tiles, or too few whose place is known.
    """
    way, count = folds
    tiles = [tile for tile in dataset.manifest.tiles if tile.split in TRAINING_SPLITS]
    placed = tiles if way == "random" else [tile for tile in tiles if tile.place]
    if len(placed) < 2 * count:
        known = "" if way == "random" else " whose place is known"
        raise DatasetError(
            f"{dataset.root}: expected {2 * count} tiles or more in train and val{known} for {count} folds, found "
            f"{len(placed)}"
        )
    order = _random_order(placed) if way == "random" else _along_longest_side(placed)
    chosen = set(np.array_split(np.arange(len(placed)), count)[fold].tolist())
    val = [tile for number, tile in enumerate(order) if number in chosen]
    train = [tile for number, tile in enumerate(order) if number not in chosen]
    if way == "blocks":
        train = [tile for tile in train if not _near(tile, val, 2 * dataset.manifest.tile_size)]
    if not train:
        raise DatasetError(
            f"{dataset.root}: expected train tiles away from fold {fold} of {count}, found none"
        )
    return dataclasses.replace(
        dataset,
        dealt={**dict.fromkeys((tile.key for tile in train), "train"), **{tile.key: "val" for tile in val}},
    )


def _random_order(tiles: Sequence[TileEntry]) -> list[TileEntry]:
    return [tiles[index] for index in np.random.default_rng(_SEED).permutation(len(tiles))]


def _along_longest_side(tiles: Sequence[TileEntry]) -> list[TileEntry]:
    """Tiles of one frame after those of another, each from one end of its longer side to the other."""
    ordered: list[TileEntry] = []
    for frame in sorted({tile.place.frame for tile in tiles if tile.place}):
        group = [(tile, tile.place) for tile in tiles if tile.place and tile.place.frame == frame]
        width, height = (
            max(values) - min(values)
            for values in ([place.x for _, place in group], [place.y for _, place in group])
        )
        group.sort(
            key=lambda pair: (
                (pair[1].x, pair[1].y) if width >= height else (pair[1].y, pair[1].x),
                pair[0].key,
            )
        )
        ordered += [tile for tile, _ in group]
    return ordered


def _near(tile: TileEntry, others: Sequence[TileEntry], distance: float) -> bool:
    here = tile.place
    return here is not None and any(
        there is not None
        and there.frame == here.frame
        and max(abs(there.x - here.x), abs(there.y - here.y)) < distance
        for there in (other.place for other in others)
    )


def train_statistics(dataset: Dataset) -> tuple[BandStatistics, ...]:
    """Returns the statistics of the train split: those of the manifest, or of the tiles that were dealt anew."""
    return split_statistics(dataset, "train") if dataset.dealt else dataset.manifest.statistics


def split_statistics(dataset: Dataset, split: str) -> tuple[BandStatistics, ...]:
    """Returns the statistics of the valid pixels of a split; masks are not looked at."""
    count, mean, square = 0, np.zeros(len(BAND_NAMES)), np.zeros(len(BAND_NAMES))
    low, high = np.full(len(BAND_NAMES), np.inf), np.full(len(BAND_NAMES), -np.inf)
    for tile in read_tiles(dataset, split):
        values = tile.image[tile.valid == 1].astype(np.float64)
        if not len(values):
            continue
        # Chan, Golub and LeVeque 1979, equation 2.1: means and squares of parts become those of the whole.
        apart, total = values.mean(axis=0) - mean, count + len(values)
        square += ((values - values.mean(axis=0)) ** 2).sum(axis=0) + apart**2 * count * len(values) / total
        mean += apart * len(values) / total
        count, low, high = total, np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    deviation = np.sqrt(square / max(count, 1))
    return tuple(
        BandStatistics(name, count, *(float(figures[band]) for figures in (mean, deviation, low, high)))
        for band, name in enumerate(BAND_NAMES)
    )
