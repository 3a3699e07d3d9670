"""Predicts the tiles of a split one after another: memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mmls_tf.config import parse_folds
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.folds import with_folds
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.errors import DatasetError
from mmls_tf.prediction.ahead import ahead
from mmls_tf.prediction.member import Member, mean_probability
from mmls_tf.schema import TileEntry

Change = Callable[[Tile], Tile]
_AHEAD = 2  # batches that are read and normalised while the device predicts


def predict_tiles(
    members: Sequence[Member],
    dataset: Dataset,
    split: str,
    batch: int,
    symmetries: str = "none",
    only: Collection[str] | None = None,
    change: Change | None = None,
) -> Iterator[tuple[Tile, npt.NDArray[np.float32]]]:
    """Yields the tiles of a split in the order of the records, each with its landslide probability [size, size].

    Args:
      members: runs whose probabilities are averaged; each sees its own bands and surroundings.
      only: keys of the tiles that are wanted; None: all.
      change: what is done to every tile before any member sees it; the yielded tiles are unchanged.

    Raises:
      DatasetError: a shard is damaged, or a probability is NaN.
    """
    tiles = read_tiles(dataset, split)
    inputs = [scoring_input(member, dataset, split, batch, change) for member in members]
    for batches in ahead(zip(*inputs, strict=True), _AHEAD):
        keys = [str(key) for key in batches[0]["key"]]
        wanted = [bool(key) and (only is None or key in only) for key in keys]
        images = [found["image"].astype(np.float32, copy=False) for found in batches]
        probabilities = mean_probability(members, images, symmetries) if any(wanted) else None
        for place, key in enumerate(keys):
            if not key:  # fills up the last batch
                continue
            tile = next(tiles)
            if tile.key != key:
                raise AssertionError(f"tiles out of step: {tile.key} and {key}")
            if probabilities is not None and wanted[place]:
                if np.isnan(probabilities[place]).any():
                    raise DatasetError(
                        f"tile {key}: expected finite logits, found NaN; the weights or the tile are damaged"
                    )
                yield tile, probabilities[place]


def scoring_input(
    member: Member, dataset: Dataset, split: str, batch: int, change: Change | None = None
) -> ScoringInput:
    """Returns a split as a member sees it: its bands, its statistics, its surroundings."""
    config = member.record.config
    return ScoringInput(
        dataset,
        split,
        member.normalisation,
        batch,
        config.context,
        config.context_from,
        change,
        member.context_masks,
    )


def tiles_to_score(members: Sequence[Member], dataset: Dataset, split: str) -> frozenset[str] | None:
    """Returns the keys of the tiles of a split that scores may count; None: all.

    Tiles whose masks a member was adapted with count no more, wherever the same image file turns up, nor do tiles that
    have pixels in common with them.

    Raises:
      DatasetError: no tile is left.
    """
    used = {
        sha256
        for member in members
        if member.record.adaptation is not None
        for sha256 in member.record.adaptation.labelled.values()
    }
    known = [tile for tile in dataset.manifest.tiles if tile.image_sha256 in used]
    if not known:
        return None
    size = dataset.manifest.tile_size
    keys = frozenset(
        tile.key
        for tile in dataset.manifest.tiles
        if dataset.has(tile.key, split) and not any(_overlap(tile, other, size) for other in known)
    )
    if not keys:
        raise DatasetError(
            f"{dataset.root}: expected tiles in {split} that no run was adapted with, found none to score"
        )
    return keys


def _overlap(tile: TileEntry, other: TileEntry, size: int) -> bool:
    if tile.key == other.key or tile.image_sha256 == other.image_sha256:
        return True
    here, there = tile.place, other.place
    if here is None or there is None or here.frame != there.frame:
        return False
    return max(abs(here.x - there.x), abs(here.y - there.y)) < size


def as_dealt(member: Member, dataset: Dataset) -> Dataset:
    """Returns the data set with train and val as the run saw them: dealt anew, if it was trained with --folds."""
    config = member.record.config
    folds = parse_folds(config.folds, config.fold)
    return with_folds(dataset, folds, config.fold) if folds else dataset
