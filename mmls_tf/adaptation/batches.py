"""Batches of which one half is source tiles with their labels, the other target tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.data.draws import InputConfig, draw_changes, draw_offsets, draw_tiles
from mmls_tf.data.ground import Ground
from mmls_tf.data.normalise import Normalisation

SIDES = ("source", "target")


@dataclass(frozen=True)
class Side:
    """One half of every batch: windows around the tiles `keys` of some ground, and how they are drawn and changed."""

    ground: Ground
    keys: Sequence[str]
    config: InputConfig
    normalisation: Normalisation

    def batch(self, step: int) -> dict[str, npt.NDArray[Any]]:
        """Returns {image float32 [batch, side, side, bands], target float32 [batch, side, side, 2], and the names of
        `mmls_tf.data.draws.draw_changes`}."""
        config, size = self.config, self.ground.size
        side = size + 2 * config.context
        offsets = draw_offsets(config, step, size) - config.context
        windows = [
            self.ground.window(self.keys[index], int(right), int(down), side)
            for index, (down, right) in zip(draw_tiles(config, step, len(self.keys)), offsets, strict=True)
        ]
        return {
            "image": np.stack([image for image, _ in windows]),
            "target": np.stack([target for _, target in windows]).astype(np.float32),
            **draw_changes(config, step, self.normalisation, side),
        }


class MixedBatches(keras.utils.PyDataset):
    """So many steps, each a dictionary of both sides, whose names are `source_image`, `target_image` and so on."""

    def __init__(self, source: Side, target: Side, steps: int) -> None:
        super().__init__()
        self._sides, self._steps = dict(zip(SIDES, (source, target), strict=True)), steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[dict[str, npt.NDArray[Any]]]:
        return (
            {
                f"{name}_{part}": value
                for name, side in self._sides.items()
                for part, value in side.batch(index).items()
            },
        )


def part_of(batch: dict[str, Any], side: str) -> tuple[Any, Any, dict[str, Any]]:
    """Returns image, target and draws of one side of a batch."""
    own = {
        name.removeprefix(f"{side}_"): value for name, value in batch.items() if name.startswith(f"{side}_")
    }
    image, target = own.pop("image"), own.pop("target")
    return image, target, own
