"""What adaptation sees of the target: images, and masks of the tiles that `--labels` chooses, only through here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from mmls_tf.adaptation.config import AdaptConfig
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.tiles import Tile
from mmls_tf.errors import UsageError
from mmls_tf.prediction.member import Member, require_fit
from mmls_tf.schema import TRAINING_SPLITS, UNKNOWN_LABEL


def open_target(config: AdaptConfig, source: Member) -> Dataset:
    """Opens the data set of the target, and checks that its split is whole and of the form that the run takes.

    Raises:
      DatasetError: it is missing, damaged, or of another form.
      UsageError: the run knows these tiles, labels and all.
    """
    dataset = open_dataset(Path(config.target))
    require_fit(dataset, source)
    if dataset.manifest.fingerprint == source.record.fingerprint and config.target_split in TRAINING_SPLITS:
        raise UsageError(
            f"--target={config.target} --target_split={config.target_split}: expected ground that the run has not "
            "seen, found tiles that it was trained on or chosen by"
        )
    verify_splits(dataset, [config.target_split])
    return dataset


def choose_labelled(dataset: Dataset, config: AdaptConfig) -> dict[str, str]:
    """Returns `config.labels` tiles of the target split, as the seed has it: SHA-256 of their image files by key.

    Raises:
      DatasetError: the split has no masks.
      UsageError: it has too few tiles with labels, of which one at least must be left to score.
    """
    if not config.labels:
        return {}
    dataset.labelled_split(config.target_split)
    tiles = [
        tile for tile in dataset.manifest.tiles if tile.split == config.target_split and tile.labelled_pixels
    ]
    if config.labels >= len(tiles):
        raise UsageError(
            f"--labels={config.labels}: expected fewer than {len(tiles)}, the labelled tiles of "
            f"{config.target_split} in {dataset.root}"
        )
    tiles.sort(key=lambda tile: tile.key)
    chosen = np.random.default_rng(config.seed).permutation(len(tiles))[: config.labels]
    return {tiles[index].key: tiles[index].image_sha256 for index in sorted(chosen.tolist())}


def masked_but(labelled: Collection[str] = ()) -> Callable[[Tile], Tile]:
    """Returns what is done to every target tile as it is read: all labels become unknown, but for those tiles."""

    def change(tile: Tile) -> Tile:
        if tile.key in labelled:
            return tile
        return dataclasses.replace(tile, mask=np.full(tile.valid.shape, UNKNOWN_LABEL, np.uint8))

    return change
