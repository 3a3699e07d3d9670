"""Maps in memory, against maps made window by window with Keras and NumPy alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from map_world import (
    NODATA,
    ORDER,
    TILE,
    canonical,
    give_pointwise,
    give_smear,
    network_of,
    normalised,
    plain_map,
)

from mmls_tf.errors import DatasetError, RunFolderError, UsageError
from mmls_tf.inference.predictor import Predictor
from mmls_tf.inference.source import ArraySource


def predicted(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    return predictor.predict(np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_a_trained_run_maps_a_scene_as_keras_and_numpy_do(
    trained_run: Path, pixels: np.ndarray, overlap: float
) -> None:
    found = predicted(Predictor.load(trained_run, overlap=overlap), pixels)
    assert found.shape == (75, 100)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain_map(trained_run, pixels, overlap), atol=1e-4)


@pytest.mark.parametrize("overlap", [0.0, 0.6])
@pytest.mark.parametrize("size", [(75, 100), (20, 100), (9, 13), (32, 32)])
def test_a_network_of_single_pixels_gives_a_map_without_seams_of_any_size(
    pointwise_run: Path, pixels: np.ndarray, size: tuple[int, int], overlap: float
) -> None:
    part = pixels[:, : size[0], : size[1]]
    expected = network_of(pointwise_run)(normalised(pointwise_run, part)[None])[0]
    expected[~canonical(part)[1]] = np.nan
    found = predicted(Predictor.load(pointwise_run, overlap=overlap), part)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_a_run_with_surroundings_sees_them_across_windows(
    own_run: Path, pixels: np.ndarray, overlap: float
) -> None:
    give_smear(own_run, 6)
    found = predicted(Predictor.load(own_run, overlap=overlap), pixels)
    np.testing.assert_allclose(found, plain_map(own_run, pixels, overlap, context=6), atol=1e-5)
    # 9 x 9 pixels fit into the surroundings: the windows cannot be seen at all.
    np.testing.assert_allclose(found, predicted(Predictor.load(own_run, overlap=0.25), pixels), atol=1e-5)


def test_the_batch_changes_nothing_but_rounding(trained_run: Path, pixels: np.ndarray) -> None:
    one, many = (predicted(Predictor.load(trained_run, batch=batch), pixels) for batch in (1, 7))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_an_ensemble_of_runs_with_different_surroundings_is_their_mean(
    own_run: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    other = give_smear(Path(shutil.copytree(own_run, tmp_path / "other")), 6, seed=2)
    found = predicted(Predictor.load(own_run, ensemble=[other], overlap=0.0), pixels)
    expected = (plain_map(own_run, pixels, 0.0) + plain_map(other, pixels, 0.0, context=6)) / 2
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_d4_makes_the_map_turn_with_the_scene(own_run: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(50, 150, (7, 64, 64)).astype(np.float32)
    give_smear(own_run, 0)
    plain, averaged = (Predictor.load(own_run, symmetries=name) for name in ("none", "d4"))
    turned = np.rot90(pixels, axes=(1, 2))
    np.testing.assert_allclose(np.rot90(predicted(averaged, pixels)), predicted(averaged, turned), atol=1e-5)
    assert np.abs(np.rot90(predicted(plain, pixels)) - predicted(plain, turned)).max() > 0.01


def test_windows_may_be_larger_than_the_tiles_of_training(trained_unet: Path, pixels: np.ndarray) -> None:
    valid = canonical(pixels)[1]
    found = predicted(Predictor.load(trained_unet, tile=64, overlap=0.0), pixels)
    image = np.zeros((1, 64, 64, 7), np.float32)
    image[0] = normalised(trained_unet, pixels)[:64, :64]
    from mmls_tf.models.registry import build_model
    from mmls_tf.models.spec import ModelSpec
    from mmls_tf.training.run_folder import RunFolder

    folder, record = RunFolder.open(trained_unet)
    model = build_model(ModelSpec.of(record.config, 64, record.normalisation), "float32", 0)
    model.set_weights(folder.load_model("best").get_weights())
    expected = 1 / (1 + np.exp(-np.asarray(model(image, training=False), np.float64)[0, ..., 0]))
    corner = valid[:11, :36]
    np.testing.assert_allclose(found[:11, :36][corner], expected[:11, :36][corner], atol=1e-4)


def test_a_band_declared_missing_may_hold_anything(own_run: Path, pixels: np.ndarray) -> None:
    give_pointwise(own_run)
    changed = pixels.copy()
    changed[ORDER.index("gray")] = NODATA
    predictor = Predictor.load(own_run, missing="gray")
    np.testing.assert_array_equal(predicted(predictor, changed), predicted(predictor, pixels))
    image = normalised(own_run, pixels)
    image[..., 6] = 0.0
    expected = network_of(own_run)(image[None])[0]
    valid = canonical(pixels)[1]
    np.testing.assert_allclose(predicted(predictor, changed)[valid], expected[valid], atol=1e-5)


def test_rows_taken_up_at_a_checkpoint_are_the_same_to_the_last_bit(
    trained_run: Path, pixels: np.ndarray
) -> None:
    predictor = Predictor.load(trained_run, batch=1, overlap=0.75)
    source = ArraySource(np.moveaxis(pixels, 0, -1))
    whole = list(predictor.predict_rows(source))
    marks = [(rows.row + len(rows.probability), rows.checkpoint) for rows in whole if rows.checkpoint]
    assert len(marks) > 2
    expected = np.concatenate([rows.probability for rows in whole])
    np.testing.assert_array_equal(expected, predictor.predict(np.moveaxis(pixels, 0, -1)))
    for row, checkpoint in marks[:-1]:
        rest = np.concatenate([rows.probability for rows in predictor.predict_rows(source, checkpoint)])
        np.testing.assert_array_equal(rest, expected[row:])
    assert sum(rows.windows for rows in whole) == predictor.plan(75, 100).windows


def test_the_caller_s_array_may_have_nan_and_another_order(pointwise_run: Path, pixels: np.ndarray) -> None:
    predictor = Predictor.load(pointwise_run)
    array = np.moveaxis(pixels[::-1], 0, -1).astype(np.float64)
    array[array < -1e30] = np.nan
    np.testing.assert_array_equal(predictor.predict(array, ORDER[::-1]), predicted(predictor, pixels))


def test_weights_that_give_no_number_are_an_error(pointwise_run: Path, pixels: np.ndarray) -> None:
    predictor = Predictor.load(pointwise_run)
    model = predictor.members[0].model
    model.set_weights([np.full_like(values, np.nan) for values in model.get_weights()])
    with pytest.raises(DatasetError, match="expected finite logits, found NaN"):
        predicted(predictor, pixels)


def test_runs_that_do_not_go_together_are_refused(own_run: Path, trained_run: Path) -> None:
    path = own_run / "run.json"
    text = path.read_text()
    path.write_text(text.replace(f'"tile_size": {TILE}', '"tile_size": 64'))
    with pytest.raises(UsageError, match=r"--ensemble: expected runs on tiles of one size.*32 in .*64 in "):
        Predictor.load(trained_run, ensemble=[own_run])
    path.write_text(text.replace('"scaling": "mmlsv2"', '"scaling": "mmls_v1"'))
    with pytest.raises(UsageError, match="expected a run on values scaled as mmlsv2, found mmls_v1"):
        Predictor.load(own_run)
    with pytest.raises(RunFolderError, match="expected a run folder"):
        Predictor.load(own_run / "nowhere")


def test_a_tile_that_a_network_cannot_take_is_refused(own_run: Path) -> None:
    with pytest.raises(UsageError, match="--tile=33"):
        Predictor.load(own_run, tile=33)
