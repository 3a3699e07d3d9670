"""What an evaluation holds at a time does not grow with the number of tiles."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmls_tf.data import scoring_input
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation.counting import count_split
from mmls_tf.prediction import tiles
from mmls_tf.prediction.ahead import ahead

SIDE, BATCH = 8, 4


class Records:
    """A split of generated tiles that knows how many of them are still held by somebody."""

    def __init__(self, count: int) -> None:
        self.count, self.most = count, 0
        self.given: list[weakref.ref[Tile]] = []

    def read(self, dataset: Any, split: str) -> Iterator[Tile]:
        for index in range(self.count):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[: index % SIDE] = 1
            tile = Tile(
                f"{split}/tile{index}", np.zeros((SIDE, SIDE, 7), np.float32), np.ones_like(mask), mask
            )
            self.given.append(weakref.ref(tile))
            self.most = max(self.most, sum(one() is not None for one in self.given))
            yield tile
            del tile

    def tiles(self, split: str) -> int:
        return self.count


@pytest.mark.parametrize("count", [40, 160])
def test_no_more_tiles_are_held_than_are_predicted_ahead(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    records: Any = Records(count)
    for module in (scoring_input, tiles):
        monkeypatch.setattr(module, "read_tiles", records.read)
    member: Any = SimpleNamespace(
        context=0,
        context_masks="none",
        record=SimpleNamespace(config=SimpleNamespace(context=0, context_from="split")),
        normalisation=Normalisation((0,), (0.0,), (1.0,)),
        probability=lambda images, symmetries: np.full(images.shape[:3], 0.25, np.float32),
    )
    found = count_split(ahead(tiles.predict_tiles([member], records, "test", BATCH), BATCH), 0.5)
    assert len(found.tiles) == count
    assert len(records.given) == 2 * count, "the network and the counts read the tiles each for themselves"
    assert records.most <= BATCH + 6
