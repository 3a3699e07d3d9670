"""Runs that predict, alone and together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.errors import DatasetError
from mmls_tf.prediction.member import load_member, mean_probability, predict_logits, require_fit
from mmls_tf.prediction.tiles import predict_tiles
from mmls_tf.training.run_folder import RunFolder


def by_hand(run: Path, which: str, tile: Tile) -> np.ndarray:
    folder, record = RunFolder.open(run)
    model = keras.saving.load_model(folder.weights(which), compile=False)
    normal = record.normalisation
    x = (tile.image - np.float32(normal.mean)) / np.float32(normal.std) * tile.valid[..., None]
    logits = np.asarray(model(x[None].astype(np.float32), training=False))[0, ..., 0]
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_tiles_come_in_the_order_of_the_records_each_with_its_own_probability(
    trained_run: Path, built_data: Path, batch: int
) -> None:
    dataset = open_dataset(built_data)
    found = list(predict_tiles([load_member(trained_run, "best", "tensorflow")], dataset, "test", batch))
    assert [tile.key for tile, _ in found] == [tile.key for tile in read_tiles(dataset, "test")]
    for tile, probability in found:
        np.testing.assert_allclose(probability, by_hand(trained_run, "best", tile), atol=1e-4)


def test_an_ensemble_is_the_mean_of_its_members_probabilities(trained_run: Path, built_data: Path) -> None:
    members = [load_member(trained_run, which, "tensorflow") for which in ("best", "last")]
    for tile, probability in predict_tiles(members, open_dataset(built_data), "val", 2):
        expected = (by_hand(trained_run, "best", tile) + by_hand(trained_run, "last", tile)) / 2
        np.testing.assert_allclose(probability, expected, atol=1e-4)


def test_only_wanted_tiles_are_predicted_and_given(trained_run: Path, built_data: Path) -> None:
    dataset = open_dataset(built_data)
    member = load_member(trained_run, "best", "tensorflow")
    keys = [tile.key for tile in read_tiles(dataset, "test")]
    everything = {tile.key: p for tile, p in predict_tiles([member], dataset, "test", 2)}
    (only,) = predict_tiles([member], dataset, "test", 2, only={keys[3]})
    assert only[0].key == keys[3]
    np.testing.assert_allclose(only[1], everything[keys[3]], atol=1e-6)


def test_a_change_is_seen_by_the_model_and_not_by_what_is_scored(trained_run: Path, built_data: Path) -> None:
    dataset = open_dataset(built_data)
    member = load_member(trained_run, "best", "tensorflow")

    def flattened(tile: Tile) -> Tile:
        return dataclasses.replace(tile, image=np.zeros_like(tile.image))

    changed = predict_tiles([member], dataset, "val", 2, change=flattened)
    for (tile, probability), original in zip(changed, read_tiles(dataset, "val"), strict=True):
        np.testing.assert_array_equal(tile.image, original.image)
        np.testing.assert_allclose(probability, by_hand(trained_run, "best", flattened(tile)), atol=1e-4)


def test_margins_of_context_are_cut_off_before_members_are_averaged() -> None:
    class Stub:
        def __init__(self, context: int) -> None:
            self.context = context

        def probability(self, images: np.ndarray, symmetries: str) -> np.ndarray:
            return images[..., 0]

    wide = np.full((1, 8, 8, 1), 9.0, np.float32)
    wide[:, 2:6, 2:6] = 1.0
    found = mean_probability([Stub(2), Stub(0)], [wide, np.zeros((1, 4, 4, 1), np.float32)], "none")  # type: ignore[list-item]
    np.testing.assert_array_equal(found, np.full((1, 4, 4), 0.5))


def test_a_band_table_other_than_the_runs_is_refused_by_the_band(own_data: Path, trained_run: Path) -> None:
    path = own_data / "dataset.json"
    fields = json.loads(path.read_text())
    fields["bands"][3]["scale"] = 1.0
    path.write_text(json.dumps(fields))
    member = load_member(trained_run, "best", "tensorflow")
    with pytest.raises(
        DatasetError, match=r"expected band dem as \(value - -5834\.0\) / 12822\.0.*found dem as"
    ):
        require_fit(open_dataset(own_data), member)
    fields["bands"] = fields["bands"][:3]
    path.write_text(json.dumps(fields))
    with pytest.raises(DatasetError, match=r"expected 7 bands.*found 3"):
        require_fit(open_dataset(own_data), member)


def test_an_image_alone_is_predicted_as_it_is_among_others(trained_run: Path) -> None:
    sizes = []

    class Watched:
        input_shape = (None, 32, 32, 7)

        def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
            sizes.append(len(images))
            return np.asarray(member.model.predict_on_batch(images))

    member = load_member(trained_run, "best", "tensorflow")
    images = np.random.default_rng(0).normal(size=(3, 32, 32, 7)).astype(np.float32)
    alone = predict_logits(Watched(), images[:1])
    assert alone.shape == (1, 32, 32)
    np.testing.assert_allclose(alone, predict_logits(member.model, images)[:1], rtol=1e-4, atol=1e-5)
    assert sizes == [2], "one image alone takes oneDNN ten times as long"
