"""Decoders: their layers against independent references, their wiring, and their size beside published ones."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.models.decoders.deeplabv3 import atrous_pyramid
from mmls_tf.models.decoders.deeplabv3plus import LOW_LEVEL_STRIDE
from mmls_tf.models.decoders.pspnet import BINS, AveragePoolTo, BilinearTo, pspnet_decoder
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.pyramid import Encoder, EncoderRequest
from mmls_tf.models.registry import DECODERS, build_model
from mmls_tf.models.spec import ModelSpec

# Millions of parameters of segmentation_models.pytorch's models over a ResNet-34 that sees 7 bands, 1 class.
PUBLISHED = {
    "unet": 24.45,
    "unetplusplus": 26.09,
    "pspnet": 21.45,
    "deeplabv3": 26.02,
    "deeplabv3plus": 22.45,
    "segformer": 21.89,
}
RESNET34 = {2: 64, 4: 64, 8: 128, 16: 256, 32: 512}
RESNET34_MILLIONS = 21.297


def images(size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, size, size, 7)).astype(np.float32)


def spec(decoder: str, encoder: str = "plain", full_skip: bool = False) -> ModelSpec:
    return ModelSpec(decoder, encoder, 4, 32, BAND_NAMES, full_skip=full_skip)


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an encoder whose finest level has stride 4."""

    def build(request: EncoderRequest) -> keras.Model:
        image = keras.Input((request.tile_size, request.tile_size, request.bands))
        features = [layers.Conv2D(8, 4, 4, name="stride4")(image)]
        for stride in (8, 16):
            if stride <= (request.output_stride or 16):
                features.append(layers.Conv2D(8, 2, 2, name=f"stride{stride}")(features[-1]))
        return keras.Model(image, features, name=request.name)

    monkeypatch.setitem(ENCODERS, "coarse", Encoder("coarse", "ours", (4, 8, 16), False, build))
    return "coarse"


def layer_names(model: keras.Model) -> set[str]:
    return {layer.name for layer in model.layers}


@pytest.mark.parametrize("decoder", DECODERS)
def test_over_a_resnet34_it_is_as_large_as_the_published_model_of_its_name(decoder: str) -> None:
    stride = DECODERS[decoder].output_stride
    levels = {2: 64, 4: 64, 8: 512} if stride == 8 else {**RESNET34, 16: 512} if stride == 16 else RESNET34
    if stride == 16:
        levels = {s: c for s, c in levels.items() if s <= 16}
    pyramid = {s: keras.Input((128 // s, 128 // s, channels)) for s, channels in levels.items()}
    features, _ = DECODERS[decoder].build(pyramid, 16)
    head = layers.Conv2D(1, 1)(features)
    trainable = keras.Model(list(pyramid.values()), head).trainable_variables
    millions = RESNET34_MILLIONS + sum(np.prod(variable.shape) for variable in trainable) / 1e6
    assert millions == pytest.approx(PUBLISHED[decoder], rel=0.035)


@pytest.mark.parametrize("size", [6, 12, 18])
@pytest.mark.parametrize("bins", BINS)
def test_pooling_where_bins_divide_the_map_is_average_pooling(size: int, bins: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)
    expected = layers.AveragePooling2D(size // bins)(x)
    np.testing.assert_allclose(AveragePoolTo(bins)(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "bins", "regions"),
    [
        (4, 3, [(0, 1), (1, 2), (2, 3)]),
        (5, 2, [(0, 1, 2), (2, 3, 4)]),
        (4, 6, [(0,), (0, 1), (1,), (2,), (2, 3), (3,)]),
        (2, 6, [(0,), (0,), (0,), (1,), (1,), (1,)]),
        (1, 3, [(0,), (0,), (0,)]),
    ],
)
def test_pooling_covers_every_row_also_where_there_are_more_bins_than_rows(
    size: int, bins: int, regions: list[tuple[int, ...]]
) -> None:
    x = np.random.default_rng(0).normal(size=(1, size, size, 2)).astype(np.float32)
    pooled = np.asarray(AveragePoolTo(bins)(x))
    for row, rows in enumerate(regions):
        for column, columns in enumerate(regions):
            expected = x[0][np.ix_(rows, columns)].mean(axis=(0, 1))
            np.testing.assert_allclose(pooled[0, row, column], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("before", BINS)
@pytest.mark.parametrize("size", [1, 2, 4, 10, 16])
def test_resizing_is_that_of_keras_also_to_sizes_that_are_no_multiple(before: int, size: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, before, before, 3)).astype(np.float32)
    expected = ops.image.resize(x, (size, size), interpolation="bilinear")
    np.testing.assert_allclose(BilinearTo(size)(x), expected, atol=1e-5)


@pytest.mark.parametrize("layer", [AveragePoolTo(3, dtype="float32"), BilinearTo(5)])
def test_a_layer_is_rebuilt_from_its_configuration(layer: Any) -> None:
    again = type(layer).from_config(layer.get_config())
    assert (again.size, again.dtype_policy.name, again.name) == (layer.size, "float32", layer.name)


@pytest.mark.parametrize("size", [1, 2, 4, 10])
def test_pyramid_pooling_takes_maps_of_any_size(size: int) -> None:
    features = keras.Input((size, size, 8))
    x, stride = pspnet_decoder({8: features}, 2)
    assert (x.shape, stride) == ((None, size, size, 64), 8)


def test_pyramid_pooling_lets_every_place_see_the_whole_tile() -> None:
    features = keras.Input((8, 8, 8))
    model = keras.Model(features, pspnet_decoder({8: features}, 2)[0])
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32)
    far = x.copy()
    far[:, -1, -1] += 10.0
    assert not np.allclose(model(x)[:, 0, 0], model(far)[:, 0, 0])


@pytest.mark.parametrize("separable", [False, True])
def test_atrous_convolutions_see_nine_places_that_are_a_rate_apart(separable: bool) -> None:
    features = keras.Input((25, 25, 1))
    x = atrous_pyramid(features, 2, (6, 12, 18), separable)
    for rate in (6, 12):
        branch = next(layer for layer in keras.Model(features, x).layers if layer.name == f"aspp{rate}_conv")
        impulse = np.zeros((1, 25, 25, 1), np.float32)
        impulse[0, 12, 12] = 1.0
        rows, columns = np.nonzero(np.asarray(branch(impulse))[0].any(axis=-1))
        seen = (12 - rate, 12, 12 + rate)
        assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(r, c) for r in seen for c in seen}


@pytest.mark.parametrize("decoder", ["deeplabv3", "deeplabv3plus"])
def test_an_atrous_pyramid_lets_every_place_see_the_mean_of_the_tile(decoder: str) -> None:
    model = build_model(spec(decoder), "float32", 0)
    pooled = model.get_layer("image_pool_resize").output
    coarsest = model.get_layer("image_pool").input
    found, features = keras.Model(model.input, [pooled, coarsest])(images())
    kernel, bias = model.get_layer("image_pool_conv").get_weights()
    expected = np.maximum(np.asarray(features).mean(axis=(1, 2)) @ kernel[0, 0] + bias, 0)
    for row, column in ((0, 0), (-1, 1)):
        np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("decoder", "size"), [("pspnet", 4), ("deeplabv3", 4), ("deeplabv3plus", 8), ("segformer", 8)]
)
def test_logits_are_made_at_the_stride_of_the_decoder(decoder: str, size: int) -> None:
    assert build_model(spec(decoder), "float32", 0).get_layer("logits").output.shape[1] == size


@pytest.mark.parametrize("decoder", ["pspnet", "deeplabv3"])
def test_a_dilated_encoder_asks_for_multiples_of_its_output_stride_alone(decoder: str) -> None:
    model = build_model(ModelSpec(decoder, "plain", 4, 40, BAND_NAMES), "float32", 0)
    assert model(images(40)).shape == (2, 40, 40, 1)
    with pytest.raises(UsageError, match="expected a multiple of the model's stride, 16"):
        build_model(ModelSpec("unet", "plain", 4, 40, BAND_NAMES), "float32", 0)


def test_the_decoder_of_deeplabv3plus_takes_the_level_at_stride_4() -> None:
    model = build_model(spec("deeplabv3plus"), "float32", 0)
    assert model.get_layer("low_level_conv").input.shape == (None, 8, 8, 16)
    assert model.get_layer("low_level_conv").output.shape == (None, 8, 8, 12)
    assert model.get_layer("aspp1_conv").input.shape == (None, 2, 2, 64), "at output stride 16"


def test_every_encoder_has_the_level_that_deeplabv3plus_and_segformer_start_from() -> None:
    assert {name for name, encoder in ENCODERS.items() if LOW_LEVEL_STRIDE not in encoder.strides} == set()


def test_segformer_takes_all_levels_from_stride_4_on_and_none_that_is_finer() -> None:
    model = build_model(spec("segformer"), "float32", 0)
    linear = {name for name in layer_names(model) if name.removeprefix("linear").isdigit()}
    assert linear == {"linear4", "linear8", "linear16"}
    assert model.get_layer("levels").output.shape == (None, 8, 8, 3 * 64)


def test_a_node_of_unetplusplus_sees_all_nodes_before_it_at_its_stride_and_one_below() -> None:
    model = build_model(spec("unetplusplus"), "float32", 0)
    sees = {
        layer.name.removesuffix("_skips"): len(layer.input)
        for layer in model.layers
        if layer.name.endswith("_skips")
    }
    # In column j of a stride: j nodes beside it, one from below; each stride has one column fewer.
    assert sees == {f"x{2**row}_{column}": column + 1 for row in range(5) for column in range(1, 5 - row)}
    beside = model.get_layer("x1_4_skips").input[1:]
    assert [tensor.shape[-1] for tensor in beside] == [4, 4, 4, 4]


@pytest.mark.parametrize("decoder", ["unet", "unetplusplus"])
def test_full_resolution_is_reached_without_skips_where_the_encoder_has_none(
    decoder: str, coarse: str
) -> None:
    model = build_model(spec(decoder, coarse), "float32", 0)
    assert model.get_layer("logits").output.shape[1] == 32
    assert model.get_layer("up1_a_conv").input.shape == (None, 32, 32, 8), "16 / 2, from below alone"
    assert not {"skip1", "skip2", "x1_1_skips"} & layer_names(model)


@pytest.mark.parametrize("decoder", DECODERS)
def test_full_skip_adds_features_at_full_resolution(decoder: str, coarse: str) -> None:
    without, model = (
        build_model(spec(decoder, coarse, full_skip), "float32", 0) for full_skip in (False, True)
    )
    assert not any(name.startswith("detail") for name in layer_names(without))
    assert {"detail_a_conv", "detail_b_relu"} <= layer_names(model)
    assert model.get_layer("logits").output.shape[1] == 32
    assert changes_between_neighbours(model) > 3 * changes_between_neighbours(without)


def changes_between_neighbours(model: keras.Model) -> float:
    """How far logits leave the straight line between their neighbours, as a share of how far they vary at all."""
    logits = np.asarray(model(images()))
    return float(np.abs(np.diff(logits, n=2, axis=1)).mean() / logits.std())


def test_full_skip_takes_the_encoders_own_features_at_full_resolution_where_it_has_them() -> None:
    model = build_model(spec("pspnet", full_skip=True), "float32", 0)
    assert not any(name.startswith("detail") for name in layer_names(model))
    assert [tensor.shape[1:] for tensor in model.get_layer("refine_skip").input] == [
        (32, 32, 128),
        (32, 32, 4),
    ]


@pytest.mark.parametrize("decoder", DECODERS)
def test_filters_scale_every_decoder(decoder: str, coarse: str) -> None:
    sizes = [
        build_model(ModelSpec(decoder, coarse, filters, 32, BAND_NAMES), "float32", 0).count_params()
        for filters in (2, 4)
    ]
    assert sizes[1] > 1.5 * sizes[0]
