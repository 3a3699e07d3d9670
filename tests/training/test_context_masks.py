"""A run that is told masks of train tiles around a tile: never its own, never those of other splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from mmls_tf.adaptation.config import AdaptConfig
from mmls_tf.adaptation.job import adapt
from mmls_tf.config import TrainConfig
from mmls_tf.data.augment import Augmentation
from mmls_tf.data.batches import StepDraws
from mmls_tf.data.dataset import Dataset, open_dataset
from mmls_tf.data.draws import InputConfig, draw_changes
from mmls_tf.data.ground import load_ground
from mmls_tf.data.known_mask import as_channel, encode_mask
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import batches_from_memory
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.data.tiles import read_tiles
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.evaluation.screen import result_text
from mmls_tf.exporting.config import ExportConfig
from mmls_tf.exporting.saved_model import export
from mmls_tf.losses import BceDice
from mmls_tf.prediction.member import load_member
from mmls_tf.prediction.tiles import predict_tiles
from mmls_tf.training.run_folder import RunFolder
from mmls_tf.training.step import TrainingStep
from mmls_tf.training.trainer import train
from tests.turned_labels import poisoned

SIZE, MARGIN = 32, 16
SIDE = SIZE + 2 * MARGIN
INNER = slice(MARGIN, MARGIN + SIZE)
TOLD = {"context": MARGIN, "context_from": "all", "context_masks": "train"}
SEEN = Normalisation((0, 3), (0.0, 0.0), (1.0, 1.0))


@pytest.fixture(scope="module")
def run(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("told") / "run"
    options = {"windows": "anywhere", "augment": "d4+crop", "derive": "relative_dem", **TOLD}
    config = TrainConfig(
        data=str(built_data), run=str(root), filters=4, epochs=2, batch=5, precision="float32", **options
    )
    train(config, "a test")
    return root


def probabilities(run: Path, dataset: Dataset, split: str) -> dict[str, np.ndarray]:
    member = load_member(run, "best", "tensorflow")
    return {tile.key: found for tile, found in predict_tiles([member], dataset, split, 4)}


def scoring(dataset: Dataset, run: Path, split: str) -> list[dict[str, np.ndarray]]:
    normalisation = RunFolder.open(run)[1].normalisation
    return list(ScoringInput(dataset, split, normalisation, 3, MARGIN, "all", context_masks="train"))


def test_the_channel_shows_masks_of_train_tiles_where_they_lie_and_nothing_in_the_middle(
    run: Path, built_data: Path
) -> None:
    dataset = open_dataset(built_data)
    places = {tile.key: tile.place for tile in dataset.manifest.tiles if tile.place}
    trained = [tile for tile in read_tiles(dataset, "train") if tile.key in places]
    shown = 0
    for split in ("train", "val", "test", "isolated"):
        for batch in scoring(dataset, run, split):
            assert batch["image"].shape[1:] == (SIDE, SIDE, 8)
            assert batch["target"].shape[1:] == (SIDE, SIDE, 2)
            for key, image in zip(batch["key"], batch["image"], strict=True):
                expected = np.zeros((SIDE, SIDE), np.float32)
                for tile in trained if key and split != "isolated" else []:
                    here, there = places[str(key)], places[tile.key]
                    down, right = round(there.y - here.y) + MARGIN, round(there.x - here.x) + MARGIN
                    rows, columns = (slice(max(a, 0), min(a + SIZE, SIDE)) for a in (down, right))
                    if rows.start < rows.stop and columns.start < columns.stop:
                        part = (
                            slice(rows.start - down, rows.stop - down),
                            slice(columns.start - right, columns.stop - right),
                        )
                        value = np.where(tile.mask[part] == 1, 1.0, -1.0)
                        expected[rows, columns] = value * (tile.valid[part] == 1)
                expected[INNER, INNER] = 0.0
                np.testing.assert_array_equal(image[..., 7], expected)
                shown += int(expected.any())
    assert shown > 5


def test_only_masks_of_train_tiles_around_change_what_is_predicted(
    run: Path, built_data: Path, own_data: Path, tmp_path: Path
) -> None:
    before = {
        split: probabilities(run, open_dataset(built_data), split) for split in ("val", "test", "isolated")
    }
    others = poisoned(Path(shutil.copytree(own_data, tmp_path / "other")), ("val", "test", "isolated"))
    for split, found in before.items():
        for key, probability in probabilities(run, others, split).items():
            np.testing.assert_array_equal(found[key], probability)
    opposite = poisoned(own_data, ("train",))
    for split, differs in (("val", True), ("test", True), ("isolated", False)):
        after = probabilities(run, opposite, split)
        assert any((before[split][key] != after[key]).any() for key in after) == differs


def test_a_train_tile_is_predicted_without_its_own_mask(run: Path, own_data: Path) -> None:
    before = scoring(open_dataset(own_data), run, "train")
    first = str(before[0]["key"][0])
    after = scoring(poisoned(own_data, ("train",), only=first), run, "train")
    np.testing.assert_array_equal(before[0]["image"][0], after[0]["image"][0])
    assert not np.array_equal(before[0]["target"][0], after[0]["target"][0])


def test_the_training_step_shows_the_network_what_is_told_around_but_not_inside() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    step = TrainingStep(
        keras.Model(image, keras.layers.Identity()(image)), Augmentation(SEEN, SIDE), BceDice(), margin=MARGIN
    )
    step._inner = slice(None)  # to look at the margin too
    random = np.random.default_rng(0)
    codes = random.integers(0, 3, (2, SIDE, SIDE, 1))
    target = np.concatenate([random.integers(0, 2, (2, SIDE, SIDE, 2)), codes], axis=-1).astype(np.float32)
    bands = random.normal(size=(2, SIDE, SIDE, 2)).astype(np.float32)
    found = step({"image": bands, "target": target}, training=True)
    expected = np.select([codes == 1, codes == 2], [-1.0, 1.0], 0.0)
    expected[:, INNER, INNER] = 0.0
    np.testing.assert_array_equal(found["logits"][..., :2], bands)
    np.testing.assert_array_equal(found["logits"][..., 2:], expected)
    np.testing.assert_array_equal(found["target"], target[..., :2])


def test_codes_tell_background_from_what_is_not_known() -> None:
    mask = np.array([[0, 1, 255], [0, 1, 255]], np.uint8)
    valid = np.array([[1, 1, 1], [0, 0, 0]], np.uint8)
    codes = encode_mask(mask, valid)
    assert codes.tolist() == [[1, 2, 0], [0, 0, 0]]
    shown = as_channel(np.array([[[0.0], [1.0]], [[2.0], [1.0]]], np.float32), 1)
    assert shown[..., 0].tolist() == [[0, -1], [1, -1]]


def test_codes_move_with_the_mask_and_ninths_of_them_are_hidden() -> None:
    config = InputConfig(4, augment=("d4", "crop", "mosaic"), context_masks="train")
    draws = draw_changes(config, 3, SEEN, 24)
    random = np.random.default_rng(0)
    mask = np.kron(random.integers(0, 2, (4, 6, 6)), np.ones((4, 4)))
    target = np.stack([mask, np.ones_like(mask), mask + 1], axis=-1).astype(np.float32)
    image = random.normal(size=(4, 24, 24, 2)).astype(np.float32)
    moved = np.asarray(Augmentation(SEEN, 24)(image, target, draws)[1])
    told = np.kron(draws["told"], np.ones((8, 8)))
    assert 0 < told.mean() < 1
    np.testing.assert_array_equal(moved[..., 2], (moved[..., 0] + 1) * told)
    assert not np.array_equal(moved[..., 0], mask)


def test_one_window_in_five_is_told_nothing_and_one_part_in_five_of_the_others() -> None:
    config = InputConfig(500, context_masks="train")
    told = draw_changes(config, 0, SEEN, 8)["told"]
    assert set(np.unique(told)) == {0.0, 1.0}
    nothing = ~told.any(axis=(1, 2))
    assert nothing.mean() == pytest.approx(0.2, abs=0.06)
    assert told[~nothing].mean() == pytest.approx(0.8, abs=0.02)
    assert "told" not in draw_changes(InputConfig(4), 0, SEEN, 8)


def test_memory_and_device_show_the_network_the_same(built_data: Path) -> None:
    dataset = open_dataset(built_data)
    normalisation = Normalisation.from_statistics(dataset.manifest.statistics, range(7))
    config = InputConfig(5, augment=("d4", "crop"), windows="anywhere", **TOLD)
    ground = load_ground(dataset, "train", normalisation, "all", config.reach(SIZE), context_masks="train")
    image = keras.Input((SIDE, SIDE, 8))
    network = keras.Model(image, keras.layers.Identity()(image))
    augmentation = Augmentation(normalisation, SIDE)
    on_device = TrainingStep(network, augmentation, BceDice(), ground, margin=MARGIN)
    fed = TrainingStep(network, augmentation, BceDice(), margin=MARGIN)
    draws = StepDraws(ground, normalisation, config, 3, 0)
    batches = batches_from_memory(ground, normalisation, config, 0, augment=True).take(3)
    for number, batch in enumerate(batches.as_numpy_iterator()):
        one, other = on_device(draws[number][0], training=True), fed(batch, training=True)
        for name in ("logits", "target"):
            np.testing.assert_allclose(one[name], other[name], atol=1e-5)


def test_its_evaluation_says_what_was_told(run: Path, own_data: Path) -> None:
    for split, said in (
        ("test", ", with masks of train tiles, from tiles of train"),
        ("isolated", " from tiles of the same split"),
    ):
        result = evaluate(EvaluateConfig(run=str(run), split=split, data=str(own_data), batch=3), "a test")
        assert result["context_masks"] == "train"
        assert f"{MARGIN} pixels of surroundings{said}" in result_text(result)
    assert RunFolder.open(run)[1].config.surroundings == TOLD


def test_where_nothing_is_mapped_it_is_told_of_no_mask(run: Path, built_data: Path) -> None:
    member = load_member(run, "best", "tensorflow")
    images = next(iter(scoring(open_dataset(built_data), run, "val")))["image"]
    told_nothing = images * np.array([1] * 7 + [0], np.float32)
    found, expected = member.probability(images[..., :7]), member.probability(told_nothing)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(expected, member.probability(images))


def test_an_evaluation_may_do_without_the_masks_as_ground_does_that_nobody_has_mapped(
    run: Path, own_data: Path, own_run: Path
) -> None:
    asked = {"split": "test", "data": str(own_data), "weights": "best", "batch": 3, "missing": "known_mask"}
    result = evaluate(EvaluateConfig(run=str(run), **asked), "a test")
    member = load_member(run, "best", "tensorflow")
    tp = fp = fn = 0
    for batch in scoring(open_dataset(own_data), run, "test"):
        found = member.probability(batch["image"][..., :7])[:, INNER, INNER] > 0.5
        truth = batch["target"][:, INNER, INNER, 0]
        tp, fp, fn = (
            total + int((found[truth != 255] == a)[truth[truth != 255] == b].sum())
            for total, a, b in ((tp, 1, 1), (fp, 1, 0), (fn, 0, 1))
        )
    assert result["labelled_pixels"]["iou_landslide"] == pytest.approx(tp / (tp + fp + fn), abs=2e-3)
    assert result["context_masks"] == "none"
    assert "without known_mask" in result_text(result)
    assert "with masks" not in result_text(result)
    assert (run / "evaluations" / "test-without-known_mask.json").exists()
    with pytest.raises(UsageError, match=r"--missing=known_mask: .* found known_mask besides"):
        evaluate(EvaluateConfig(run=str(own_run), **asked), "a test")


def test_it_is_exported_for_ground_that_nobody_has_mapped(
    run: Path, built_data: Path, tmp_path: Path
) -> None:
    import tensorflow as tf

    out = export(ExportConfig(run=str(run), out=str(tmp_path / "out"), weights="best"))
    rng = np.random.default_rng(0)
    image = rng.random((2, SIDE, SIDE, 7), np.float32)
    valid = np.ones((2, SIDE, SIDE), np.uint8)
    member = load_member(run, "best", "tensorflow")
    expected = member.probability(member.normalisation.apply(image, valid.astype(np.float32)))
    loaded = tf.saved_model.load(str(out))  # kept by name: it owns the variables
    found = loaded.serve(image, valid)["probability"]
    np.testing.assert_allclose(np.asarray(found)[..., 0], expected, atol=1e-4)


def test_another_run_may_start_from_its_encoder(run: Path, built_data: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    config = TrainConfig(
        data=str(built_data),
        run=str(root),
        filters=4,
        epochs=1,
        batch=5,
        precision="float32",
        pretrained=str(run),
    )
    train(config, "a test")
    assert RunFolder(root).load_model("best").input_shape == (None, SIZE, SIZE, 7)


def test_masks_are_told_only_to_tiles_that_see_train_tiles_around_them() -> None:
    for options in ({}, {"context": 8}, {"context_from": "all"}):
        with pytest.raises(
            UsageError, match=r"--context_masks=train: expected surroundings with train tiles"
        ):
            TrainConfig(context_masks="train", **options)


def test_such_a_run_is_not_adapted_to_ground_without_masks(
    run: Path, built_data: Path, tmp_path: Path
) -> None:
    config = AdaptConfig(run=str(run), target=str(built_data), method="statistics", out=str(tmp_path / "out"))
    with pytest.raises(
        UsageError, match=r"expected a run that sees images alone, found one of --context_masks=train"
    ):
        adapt(config, "a test")
    assert not (tmp_path / "out").exists()
