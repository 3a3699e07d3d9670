"""Images of a data set, whatever its splits, without their masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.data.dataset import Dataset
from mmls_tf.data.draws import InputConfig, draw_changes, draw_tiles
from mmls_tf.data.ground import require_memory
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.tiles import read_tiles
from mmls_tf.pretraining.hidden import draw_hidden
from mmls_tf.schema import UNKNOWN_LABEL


class HiddenBatches(keras.utils.PyDataset):
    """An epoch of {image float32 [batch, size, size, bands], target float32 [batch, size, size, 2] of unknown mask,
    hidden float32 [batch, squares, squares], and the names of `draw_changes`}."""

    def __init__(
        self,
        dataset: Dataset,
        splits: Sequence[str],
        normalisation: Normalisation,
        config: InputConfig,
        patch: int,
        share: float,
    ) -> None:
        """Reads the tiles into memory.

        Raises:
          UsageError: they do not fit.
          DatasetError: a shard is damaged.
        """
        super().__init__()
        size = dataset.manifest.tile_size
        count = sum(dataset.tiles(split) for split in splits)
        require_memory(count * size, size, len(normalisation.bands))
        self._images = np.empty((count, size, size, len(normalisation.bands)), np.float32)
        self._targets = np.full((count, size, size, 2), UNKNOWN_LABEL, np.uint8)
        tiles = (tile for split in splits for tile in read_tiles(dataset, split))
        for place, tile in enumerate(tiles):
            chosen = tile.image[..., list(normalisation.bands)]
            self._images[place] = normalisation.apply(chosen, tile.valid.astype(np.float32))
            self._targets[place, ..., 1] = tile.valid
        self._normalisation, self._config, self._patch, self._share = normalisation, config, patch, share
        self._first = 0

    def __len__(self) -> int:
        return max(1, len(self._images) // self._config.batch)

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[Any]]]:
        step, config, size = self._first + index, self._config, self._images.shape[1]
        chosen = draw_tiles(config, step, len(self._images))
        return (
            {
                "image": self._images[chosen],
                "target": self._targets[chosen].astype(np.float32),
                "hidden": draw_hidden(config.seed, step, config.batch, size, self._patch, self._share),
                **draw_changes(config, step, self._normalisation, size),
            },
        )

    def on_epoch_end(self) -> None:
        """The next epoch goes on where this one ends."""
        self._first += len(self)
