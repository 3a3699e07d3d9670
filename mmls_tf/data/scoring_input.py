"""One pass over a split in NumPy: tiles in record order, in batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmls_tf.data.dataset import Dataset
from mmls_tf.data.ground import load_ground
from mmls_tf.data.known_mask import with_known
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.schema import UNKNOWN_LABEL

Batch = dict[str, npt.NDArray[np.generic]]
_Window = tuple[str, npt.NDArray[np.float32], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class ScoringInput:
    """A split, batched; it can be gone through any number of times.

    Batches are {image float32 [batch, side, side, bands], target uint8 [batch, side, side, 2], key str [batch]} with
    side = tile size + 2 context, every tile in the middle of its surroundings, which are unknown in the target. The
    last batch is filled up with empty tiles, whose target counts nowhere and whose key is empty: shapes stay static
    and every tile counts once. Without context, tiles are read one after another and memory does not grow.
    `change` is done to every tile first, to those around it too. With `context_masks` the image has a channel more.
    """

    dataset: Dataset
    split: str
    normalisation: Normalisation
    batch: int
    context: int = 0
    context_from: str = "split"
    change: Callable[[Tile], Tile] | None = None
    context_masks: str = "none"

    def __len__(self) -> int:
        return -(-self.dataset.tiles(self.split) // self.batch)

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[_Window] = []
        for window in self._in_surroundings() if self.context else self._alone():
            waiting.append(window)
            if len(waiting) == self.batch:
                yield _batch(waiting)
                waiting = []
        if waiting:
            _, image, target = waiting[0]
            empty = np.zeros_like(target)
            empty[..., 0] = UNKNOWN_LABEL
            yield _batch([*waiting, *[("", np.zeros_like(image), empty)] * (self.batch - len(waiting))])

    def _alone(self) -> Iterator[_Window]:
        for tile in read_tiles(self.dataset, self.split):
            tile = self.change(tile) if self.change else tile
            chosen = tile.image[..., list(self.normalisation.bands)]
            image = self.normalisation.apply(chosen, tile.valid.astype(np.float32))
            yield tile.key, image, np.stack([tile.mask, tile.valid], axis=-1)

    def _in_surroundings(self) -> Iterator[_Window]:
        around = self.context
        ground = load_ground(
            self.dataset,
            self.split,
            self.normalisation,
            self.context_from,
            around,
            self.change,
            self.context_masks,
        )
        inner = slice(around, around + ground.size)
        for key in ground.corners:
            image, target = ground.window(key, -around, -around, ground.size + 2 * around)
            alone = np.zeros_like(target[..., :2])
            alone[..., 0] = UNKNOWN_LABEL
            alone[inner, inner] = target[inner, inner, :2]
            yield key, with_known(image, target, around), alone


def _batch(windows: list[_Window]) -> Batch:
    keys, images, targets = zip(*windows, strict=True)
    return {"image": np.stack(images), "target": np.stack(targets), "key": np.array(keys)}
