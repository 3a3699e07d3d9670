"""Encoders: sizes, parameters, dilation, gradients, saving, and agreement with what others publish."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmls_tf.errors import UsageError
from mmls_tf.models.cost import model_cost
from mmls_tf.models.encoders import mit
from mmls_tf.models.encoders.table import ENCODERS, encoder_named
from mmls_tf.models.pyramid import EncoderRequest

SMALLEST = ("plain", "resnet18", "resnet50v2", "efficientnetv2-b0", "convnext_tiny", "mit_b0")
LARGER = tuple(name for name in ENCODERS if name not in SMALLEST)
SAVED = ("plain", "resnet18", "mit_b0")  # with layers of each kind of ours
EVERY = (*SMALLEST, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER))
SIZE, BANDS = 64, 7

# Published parameters for three bands, less what follows the last features: the classifier; EfficientNet's
# widening 1 x 1 convolution to 1280 channels with its normalisation; ConvNeXt's last normalisation.
PARAMETERS = {
    "resnet18": 11_183_488,  # keras-cv, with pre-activation; torchvision: 11,176,512
    "resnet34": 21_299_072,
    "resnet50": 23_564_800,
    "resnet50v2": 23_564_800,  # keras.applications
    "efficientnetv2-b0": 5_919_312 - (192 + 4) * 1280,
    "efficientnetv2-b1": 6_931_124 - (192 + 4) * 1280,
    "efficientnetv2-s": 20_331_360 - (256 + 4) * 1280,
    "convnext_tiny": 28_589_128 - 769 * 1000 - 2 * 768,  # the paper: 29 M
    "mit_b0": 3_319_392,  # segmentation_models.pytorch
    "mit_b1": 13_151_424,
    "mit_b2": 24_196_288,
}
STEMS = {"resnet": (7, 64), "efficientnetv2-b": (3, 32), "efficientnetv2-s": (3, 24), "convnext": (4, 96)}
STEMS |= {"mit_b0": (7, 32), "mit_b": (7, 64)}


@cache
def encoder(name: str, output_stride: int = 0, size: int = SIZE, bands: int = BANDS) -> keras.Model:
    keras.utils.set_random_seed(0)
    return ENCODERS[name].build(EncoderRequest("optical_encoder", size, bands, 4, output_stride))


def images(size: int = SIZE, bands: int = BANDS, batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, size, size, bands)).astype(np.float32)


def strides(model: keras.Model) -> tuple[int, ...]:
    return tuple(model.input.shape[1] // level.shape[1] for level in model.outputs)


@pytest.mark.parametrize("name", EVERY)
def test_levels_are_at_the_strides_of_the_table(name: str) -> None:
    model = encoder(name)
    assert model.name == "optical_encoder"
    assert strides(model) == ENCODERS[name].strides
    assert [level.shape[1:] for level in model(images())] == [level.shape[1:] for level in model.outputs]


@pytest.mark.parametrize("name", [p for p in EVERY if p != "plain"])
def test_parameters_are_those_published_and_of_four_more_bands(name: str) -> None:
    size, filters = next(stem for start, stem in STEMS.items() if name.startswith(start))
    assert encoder(name).count_params() == PARAMETERS[name] + (BANDS - 3) * size * size * filters


def test_resnet18_multiplies_as_often_as_the_one_of_torchvision() -> None:
    published = 1_814_073_344 - 512 * 1000  # at 224 x 224 pixels and three bands, without its classifier
    four_bands_more = 4 * 7 * 7 * 64 * (SIZE // 2) ** 2
    assert model_cost(encoder("resnet18")).macs == published * SIZE**2 // 224**2 + four_bands_more


@pytest.mark.parametrize(
    ("output_stride", "size", "bands"),
    [(16, SIZE, BANDS), pytest.param(8, 32, 1, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", EVERY)
def test_beyond_the_output_stride_levels_keep_their_size_and_only_the_deepest_stays(
    name: str, output_stride: int, size: int, bands: int
) -> None:
    model = encoder(name, output_stride, size, bands)
    assert strides(model) == tuple(stride for stride in ENCODERS[name].strides if stride <= output_stride)
    assert model.outputs[-1].shape[-1] == encoder(name).outputs[-1].shape[-1]
    for level in model(images(size, bands)):
        assert np.isfinite(level).all()


@pytest.mark.parametrize("name", EVERY)
def test_dilation_leaves_every_variable_as_it_is(name: str) -> None:
    plain, dilated = (
        [(variable.path.rpartition("/")[0], variable.shape) for variable in model.weights]
        for model in (encoder(name), encoder(name, 16))
    )
    assert plain == dilated


@pytest.mark.parametrize("name", ["resnet50v2", "convnext_tiny"])
def test_a_dilated_network_gives_between_its_positions_what_the_strided_one_gives_at_them(name: str) -> None:
    strided, dilated = encoder(name), encoder(name, 16)
    dilated.set_weights(strided.get_weights())
    coarse, fine = strided(images())[-1].numpy(), dilated(images())[-1].numpy()
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, rtol=1e-3, atol=1e-4 * np.abs(coarse).max())


@pytest.mark.parametrize("name", [name for name in SMALLEST if name != "plain"])
def test_dilated_kernels_see_as_far_as_strided_ones(name: str) -> None:
    """The step of the last stage's 3 x 3 or 7 x 7 kernels, in pixels of the tile, is the same as without dilation."""
    strided, dilated = (_last_kernel_step(encoder(name, stride)) for stride in (0, 16))
    assert strided == dilated == 32


def _last_kernel_step(model: keras.Model) -> int:
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    layer = [part for part in model.layers if isinstance(part, kinds) and max(part.kernel_size) > 1][-1]
    return layer.dilation_rate[0] * (SIZE // layer.output.shape[1])


@pytest.mark.parametrize("name", EVERY)
def test_every_variable_gets_a_gradient_if_all_levels_are_used(name: str) -> None:
    model = encoder(name)
    with tf.GradientTape() as tape:
        # Not as in training, where stochastic depth leaves out whole blocks.
        loss = sum(keras.ops.mean(keras.ops.square(level)) for level in model(images()))
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient.numpy()).all(), variable.path
        # An inner product of key biases with queries shifts all scores alike: softmax takes it out.
        if not variable.path.endswith("attention/key/bias"):
            assert np.abs(gradient.numpy()).max() > 0, variable.path


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SAVED else pytest.mark.slow) for name in SMALLEST],
)
def test_an_encoder_loads_in_safe_mode_with_the_same_features_and_the_momentum_kept(
    name: str, tmp_path: Path
) -> None:
    model = encoder(name)
    model.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras", safe_mode=True)
    for one, other in zip(model(images()), loaded(images()), strict=True):
        np.testing.assert_array_equal(one, other)
    for each in (model, loaded):
        momenta = {getattr(layer, "momentum", 0.9) for layer in each._flatten_layers()}
        assert momenta == {0.9}


def test_a_resnet_of_keras_cv_loads_where_keras_cv_is_not_installed(tmp_path: Path) -> None:
    model = encoder("resnet18")
    model.save(tmp_path / "encoder.keras")
    program = (
        "import sys\n"
        "sys.modules['keras_cv'] = None\n"
        "import keras, numpy as np\n"
        "import mmls_tf.models.registry\n"
        f"model = keras.saving.load_model({str(tmp_path / 'encoder.keras')!r})\n"
        f"np.save({str(tmp_path / 'level.npy')!r}, model(np.ones((1, {SIZE}, {SIZE}, {BANDS})))[-1])\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    expected = model(np.ones((1, SIZE, SIZE, BANDS)))[-1]
    np.testing.assert_allclose(np.load(tmp_path / "level.npy"), expected, rtol=1e-5, atol=1e-5)


def test_without_keras_cv_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_cv.models", None)
    with pytest.raises(UsageError, match=r"--encoder=resnet34: expected keras-cv.*pip install keras-cv"):
        ENCODERS["resnet34"].build(EncoderRequest("encoder", SIZE, BANDS, 4))


@pytest.mark.slow  # tests/test_without_tensorflow.py builds two of them at every run of the tests
@pytest.mark.parametrize("name", [*SMALLEST[2:5], "mit_b0"])
def test_encoders_but_those_of_keras_cv_are_built_where_tensorflow_is_not_installed(name: str) -> None:
    program = (
        "import os, sys\n"
        "os.environ['KERAS_BACKEND'] = 'jax'\n"
        "sys.modules['tensorflow'] = None\n"
        "from mmls_tf.models.encoders.table import ENCODERS\n"
        "from mmls_tf.models.pyramid import EncoderRequest\n"
        f"request = EncoderRequest('encoder', 32, {BANDS}, 4)\n"
        f"print(ENCODERS[{name!r}].build(request).count_params(), 'keras_cv' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout == f"{encoder(name).count_params()} False\n"


def test_an_unknown_encoder_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"--encoder=resnet19: expected one of plain, resnet18, .*mit_b2"):
        encoder_named("resnet19")


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in SMALLEST])
def test_xla_gives_the_loss_that_no_xla_gives(name: str, precision: str) -> None:
    before, losses = keras.config.dtype_policy(), []
    keras.config.set_dtype_policy(precision)
    try:
        for jit in (False, True):
            keras.utils.set_random_seed(0)
            model = ENCODERS[name].build(EncoderRequest("encoder", 32, 3, 4, 16))
            deepest = keras.layers.Activation("linear", dtype="float32")(model.outputs[-1])
            whole = keras.Model(model.input, deepest)
            for layer in whole.layers:
                if isinstance(layer, keras.layers.Dropout):
                    layer.rate = 0.0
            whole.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse", jit_compile=jit)
            losses.append(
                [whole.train_on_batch(images(32, 3, 4), np.ones(deepest.shape[1:])[None].repeat(4, 0))]
            )
            assert np.isfinite(whole.predict_on_batch(images(32, 3, 4))).all()
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4 if precision == "float32" else 5e-2)


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _normalised(x: np.ndarray, epsilon: float) -> np.ndarray:
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)


def test_keys_and_values_of_mit_come_from_patches_side_by_side_as_in_equation_2() -> None:
    rows, width, patch, heads = 8, 8, 4, 2
    image = keras.Input((rows, rows, width))
    model = keras.Model(image, mit._attention(image, 1, 0.0, "block"))
    assert (mit._REDUCTIONS[1], mit._HEADS[1]) == (patch, heads)
    x = np.random.default_rng(0).normal(size=(1, rows, rows, width)).astype(np.float32)
    y = _normalised(x, 1e-6)[0]
    kernel, bias = model.get_layer("block_reduction").get_weights()
    patches = y.reshape(rows // patch, patch, rows // patch, patch, width).transpose(0, 2, 1, 3, 4)
    keys = _normalised(np.einsum("abijc,ijcd->abd", patches, kernel).reshape(-1, width) + bias, 1e-5)
    wq, bq, wk, bk, wv, bv, wo, bo = model.get_layer("block_attention").get_weights()
    q = np.einsum("nc,chd->nhd", y.reshape(-1, width), wq) + bq
    k, v = (np.einsum("nc,chd->nhd", keys, w) + b for w, b in ((wk, bk), (wv, bv)))
    scores = _softmax(np.einsum("nhd,mhd->hnm", q, k) / np.sqrt(width // heads))
    out = np.einsum("hnm,mhd,hdc->nc", scores, v, wo) + bo
    np.testing.assert_allclose(model(x)[0], x[0] + out.reshape(rows, rows, width), atol=1e-5)


def test_a_block_of_mit_without_reduction_equals_the_one_of_keras_cv() -> None:
    keras_cv_layers = pytest.importorskip("keras_cv.layers")
    rows, width = 4, 64
    image = keras.Input((rows, rows, width))
    y = mit._attention(image, 3, 0.0, "block")
    model = keras.Model(image, mit._mix_ffn(y, 1, 0.0, "block"))
    reference = keras_cv_layers.HierarchicalTransformerEncoder(width, mit._HEADS[3], sr_ratio=1)
    x = np.random.default_rng(0).normal(size=(2, rows, rows, width)).astype(np.float32)
    tokens = x.reshape(2, -1, width)
    reference(tokens)
    own = [part for layer in model.layers for part in layer.get_weights()]
    assert len(own) == len(reference.weights)
    named = {
        "norm1": "block_norm_a",
        "attn": "block_attention",
        "norm2": "block_norm_b",
    }
    for attribute, layer in named.items():
        part = getattr(reference, attribute)
        weights = model.get_layer(layer).get_weights()
        part.set_weights([w.reshape(v.shape) for w, v in zip(weights, part.weights, strict=True)])
    for attribute, layer in (("fc1", "expand"), ("dwconv", "mix"), ("fc2", "contract")):
        getattr(reference.mlp, attribute).set_weights(model.get_layer(f"block_{layer}").get_weights())
    # keras-cv approximates GELU by a hyperbolic tangent.
    np.testing.assert_allclose(model(x).numpy().reshape(tokens.shape), reference(tokens), atol=3e-3)
