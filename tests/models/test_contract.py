"""What every model keeps, whatever its decoder, encoder and fusion: written once, fed with each at a tiny width."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.bands import BAND_NAMES
from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.scoring_input import ScoringInput
from mmls_tf.errors import UsageError
from mmls_tf.losses import BceDice, split_target
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec
from tfrecords_builder.build import build
from tfrecords_builder.config import BuildConfig
from tfrecords_builder.sample.config import SampleConfig
from tfrecords_builder.sample.write import write_sample

SIZE = 32
COUNTS = {"train": 10, "val": 3, "test": 5, "isolated": 4}
FILTERS = 4
LIBRARY_ENCODERS = {
    "unet": "mit_b0",
    "unetplusplus": "efficientnetv2-b0",
    "pspnet": "resnet18",
    "deeplabv3": "resnet18",
    "deeplabv3plus": "resnet34",
    "segformer": "mit_b0",
}


def spec(decoder: str, encoder: str = "plain", fusion: str = "none", full_skip: bool = False) -> ModelSpec:
    return ModelSpec(decoder, encoder, FILTERS, SIZE, BAND_NAMES, fusion, full_skip)


LIGHT = {
    **{decoder: spec(decoder) for decoder in DECODERS},
    "unet-gated": spec("unet", fusion="gated"),
}
HEAVY = {
    "unet-concat": spec("unet", fusion="concat"),
    "deeplabv3plus-full_skip": spec("deeplabv3plus", full_skip=True),
    **{f"{decoder}-{encoder}": spec(decoder, encoder) for decoder, encoder in LIBRARY_ENCODERS.items()},
}
MODELS = {**LIGHT, **HEAVY}
LEARNERS = ("unet", "deeplabv3", "segformer")  # 10 to 20 s each
every_model = pytest.mark.parametrize(
    "name", [*LIGHT, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)]
)


@cache
def model(name: str, precision: str = "float32") -> keras.Model:
    """Built once; not to be trained by tests."""
    return build_model(MODELS[name], precision, seed=0)


def images(batch: int, size: int = SIZE, bands: int = len(BAND_NAMES)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, size, size, bands)).astype(np.float32)


def target(batch: int, size: int) -> np.ndarray:
    mask = np.random.default_rng(1).integers(0, 2, size=(batch, size, size, 1))
    return np.concatenate([mask, np.ones_like(mask)], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def four_tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """Images and targets of four generated tiles.

    Of 64 x 64 pixels, where logits at stride 8 can draw the masks to an IoU of 0.97: on 32 x 32 it would be 0.85.
    """
    folder = tmp_path_factory.mktemp("four")
    write_sample(SampleConfig(out=str(folder / "raw"), seed=3, tile_size=64, **COUNTS))
    build(BuildConfig(src=str(folder / "raw"), out=str(folder / "data"), tile_size=64), "a test")
    dataset = open_dataset(folder / "data")
    normalisation = Normalisation.from_statistics(dataset.manifest.statistics, range(len(BAND_NAMES)))
    batch = next(iter(ScoringInput(dataset, "train", normalisation, 4)))
    return batch["image"], batch["target"]


def test_every_decoder_is_tried_on_our_own_and_on_a_librarys_encoder() -> None:
    tried = {(spec.decoder, spec.encoder != "plain") for spec in MODELS.values()}
    assert tried == {(decoder, library) for decoder in DECODERS for library in (False, True)}


@every_model
@pytest.mark.parametrize("batch", [1, 3])
def test_it_gives_one_float32_logit_a_pixel(name: str, batch: int) -> None:
    logits = model(name)(images(batch))
    assert logits.shape == (batch, SIZE, SIZE, 1)
    assert logits.dtype == "float32"
    assert np.isfinite(logits).all()


@every_model
def test_every_shape_but_the_batch_is_known_before_it_runs(name: str) -> None:
    for layer in model(name).layers:
        for tensor in keras.tree.flatten(layer.output):
            assert None not in tensor.shape[1:], layer.name


@every_model
@pytest.mark.parametrize(
    ("multiple", "bands"), [(3, ("green", "dem")), (5, ("gray", "slope", "thermal_inertia"))]
)
def test_it_takes_any_multiple_of_its_stride_and_any_bands(
    name: str, multiple: int, bands: tuple[str, ...]
) -> None:
    size = multiple * ENCODERS[MODELS[name].encoder].strides[-1]
    odd = build_model(replace(MODELS[name], tile_size=size, bands=bands), "float32", 0)
    assert odd(images(1, size, len(bands))).shape == (1, size, size, 1)


@every_model
def test_a_tile_that_is_no_multiple_of_its_stride_is_refused(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"tiles of 36 x 36 pixels: expected a multiple of the model's stride, (8|16|32)$"
    ):
        build_model(replace(MODELS[name], tile_size=36), "float32", 0)


@every_model
def test_every_trainable_variable_gets_a_finite_gradient(name: str) -> None:
    # On 32 x 32 pixels transformers have stages with a single key, which gets all the attention whatever it is.
    size = SIZE if name in LIGHT else 2 * SIZE
    trained = build_model(replace(MODELS[name], tile_size=size), "float32", 0)
    with tf.GradientTape() as tape:
        loss = BceDice()(target(4, size), trained(images(4, size), training=True))
    variables = trained.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, f"{variable.path} is unused"
        assert np.isfinite(gradient).all(), variable.path
        if not variable.path.endswith("key/bias"):  # adds the same to every score, which softmax takes out
            assert np.abs(gradient).max() > 0, f"{variable.path} does not learn"


@every_model
def test_the_seed_decides_the_weights(name: str) -> None:
    same, other = (build_model(MODELS[name], "float32", seed).get_weights() for seed in (0, 1))
    mine = model(name).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(mine, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))


@every_model
def test_its_specification_survives_the_disk(name: str) -> None:
    fields = json.loads(json.dumps(asdict(MODELS[name])))
    assert ModelSpec(**{**fields, "bands": tuple(fields["bands"])}) == MODELS[name]


@every_model
def test_it_loads_from_a_file_in_safe_mode_and_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    saved = model(name, "bfloat16")
    saved.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(saved(images(2)), loaded(images(2)))


@every_model
def test_mixed_precision_computes_in_bfloat16_and_keeps_variables_and_logits_in_float32(name: str) -> None:
    mixed = model(name, "bfloat16")
    convolutions = [layer for layer in mixed._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions if layer.name != "logits"} == {"bfloat16"}
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "the policy outside is left as it was"
    logits = mixed(images(2))
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits, model(name)(images(2)), atol=0.15)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in LEARNERS else pytest.mark.slow) for name in MODELS]
)
def test_it_learns_four_tiles_by_heart(name: str, four_tiles: tuple[np.ndarray, np.ndarray]) -> None:
    tiles, truth = four_tiles
    learner = build_model(replace(MODELS[name], tile_size=64), "float32", 0)
    rate = 1e-2 if name in LIGHT else 1e-3
    learner.compile(optimizer=keras.optimizers.Adam(rate), loss=BceDice(), jit_compile=False)
    learner.optimizer.build(learner.trainable_variables)  # else the step is traced twice
    reached = 0.0
    for _ in range(12):
        for _ in range(20):
            learner.train_on_batch(tiles, truth.astype(np.float32))
        reached = landslide_iou(learner(tiles, training=False), truth)
        if reached > 0.95:
            break
    assert reached > 0.95


def landslide_iou(logits: Any, truth: np.ndarray) -> float:
    labels, weights = (np.asarray(part) > 0 for part in split_target(truth))
    found = (np.asarray(logits) > 0) & weights
    return float((found & labels).sum() / (found | labels).sum())
