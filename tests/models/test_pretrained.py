"""Weights to start from: the inflated stem, libraries' files, encoders' files; all made here."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import UsageError
from mmls_tf.models.encoders.rebuild import layer_weights
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.inflation import inflate
from mmls_tf.models.pretrained import RGB, Pretrained, from_file, from_imagenet, load_into
from mmls_tf.models.pyramid import EncoderRequest
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec

SIZE = 32


def kernel(bands: int = 3, filters: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, 3, bands, filters)).astype(np.float32)


def responses(weights: np.ndarray) -> np.ndarray:
    """Variance of every filter's response to independent bands of zero mean and unit variance."""
    images = np.random.default_rng(1).normal(size=(4, 64, 64, weights.shape[2])).astype(np.float32)
    return np.var(keras.ops.convert_to_numpy(keras.ops.conv(images, weights)), axis=(0, 1, 2))


def encoder(name: str, bands: int, seed: int = 0, output_stride: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return ENCODERS[name].build(EncoderRequest("encoder", SIZE, bands, 4, output_stride))


def shaken(model: keras.Model) -> keras.Model:
    """Gives every variable a value of its own, also those that start at zero or one."""
    random = np.random.default_rng(2)
    for variable in model.weights:
        variable.assign(np.abs(variable.numpy() + random.normal(scale=0.05, size=variable.shape)) + 0.01)
    return model


def images(bands: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(2, SIZE, SIZE, bands)).astype(np.float32)


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


# The stem


def test_with_the_same_bands_nothing_changes() -> None:
    np.testing.assert_array_equal(inflate(kernel(), RGB, RGB), kernel())


def test_bands_are_found_by_name_and_not_by_place() -> None:
    weights = kernel()
    np.testing.assert_array_equal(inflate(weights, RGB, RGB[::-1]), weights[:, :, ::-1])


@pytest.mark.parametrize(
    "new", [BAND_NAMES, ("red", "green", "dem"), ("dem", "slope", "thermal_inertia"), ("gray",), ("blue",)]
)
def test_every_filter_responds_as_strongly_as_before_to_independent_standardised_bands(
    new: tuple[str, ...],
) -> None:
    np.testing.assert_allclose(responses(inflate(kernel(), RGB, new)), responses(kernel()), rtol=0.1)


def test_known_bands_keep_their_filters_and_new_ones_get_the_mean_up_to_one_factor_a_filter() -> None:
    weights, new = kernel(), inflate(kernel(), RGB, ("red", "dem", "blue"))
    expected = np.stack([weights[:, :, 0], weights.mean(axis=2), weights[:, :, 2]], axis=2)
    factors = new / expected
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:1, :1, :1], factors.shape), rtol=1e-5)
    before, after = ((w.astype(np.float64) ** 2).sum(axis=(0, 1, 2)) for w in (weights, expected))
    np.testing.assert_allclose(factors[0, 0, 0], np.sqrt(before / after), rtol=1e-5)


def test_a_filter_whose_mean_is_zero_stays_zero_and_finite() -> None:
    weights = kernel(2)
    weights[:, :, 1] = -weights[:, :, 0]
    assert not inflate(weights, ("red", "green"), ("dem",)).any()


# Libraries


@pytest.mark.slow
def test_weights_of_keras_applications_give_the_features_of_its_own_model(tmp_path: Path) -> None:
    library = shaken(
        keras.applications.ResNet50V2(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    )
    library.save_weights(tmp_path / "notop.weights.h5")
    source = from_file(tmp_path / "notop.weights.h5", ENCODERS["resnet50v2"], BAND_NAMES)
    own = encoder("resnet50v2", 3)
    assert load_into(own, RGB, source) == len(library.weights) == len(own.weights)
    expected = library(images(3)).numpy()
    np.testing.assert_allclose(own(images(3))[-1], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_weights_of_convnext_survive_that_its_convolutions_become_depthwise(tmp_path: Path) -> None:
    library = shaken(
        keras.applications.ConvNeXtTiny(
            weights=None, include_top=False, include_preprocessing=False, input_shape=(SIZE, SIZE, 3)
        )
    )
    library.save_weights(tmp_path / "notop.weights.h5")
    own = encoder("convnext_tiny", 3)
    load_into(own, RGB, from_file(tmp_path / "notop.weights.h5", ENCODERS["convnext_tiny"], BAND_NAMES))
    expected = keras.Model(library.input, library.layers[-1].input)(images(3)).numpy()
    np.testing.assert_allclose(own(images(3))[-1], expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_a_file_as_keras_applications_distributes_it_loads_into_seven_bands(tmp_path: Path) -> None:
    library = shaken(
        keras.applications.EfficientNetV2B0(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    )
    library.save(tmp_path / "notop.h5")  # with preprocessing, which has no variables, and in the old format
    own = encoder("efficientnetv2-b0", 7, output_stride=16)
    load_into(own, BAND_NAMES, from_file(tmp_path / "notop.h5", ENCODERS["efficientnetv2-b0"], BAND_NAMES))
    for layer in own.layers[2:]:
        assert_same(layer.get_weights(), library.get_layer(layer.name).get_weights() if layer.weights else [])
    stem = library.get_layer("stem_conv").get_weights()[0]
    np.testing.assert_array_equal(own.get_layer("stem_conv").get_weights()[0], inflate(stem, RGB, BAND_NAMES))


def test_weights_of_keras_cv_are_taken_by_layer(tmp_path: Path) -> None:
    models = pytest.importorskip("keras_cv.models")
    library = models.ResNetV2Backbone(
        stackwise_filters=[64, 128, 256, 512],
        stackwise_blocks=[2, 2, 2, 2],
        stackwise_strides=[1, 2, 2, 2],
        include_rescaling=False,
        block_type="basic_block",
        input_shape=(SIZE, SIZE, 3),
    )
    library.save_weights(tmp_path / "resnet18.weights.h5")
    own = encoder("resnet18", 3)
    load_into(own, RGB, from_file(tmp_path / "resnet18.weights.h5", ENCODERS["resnet18"], BAND_NAMES))
    for layer in own.layers[1:]:
        assert_same(layer.get_weights(), library.get_layer(layer.name).get_weights())


def test_imagenet_takes_what_the_library_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = keras.applications.ResNet50V2(weights=None, include_top=False)
    library.save_weights(tmp_path / "notop.weights.h5")
    asked = []

    def fetch(name: str, url: str, **_: object) -> str:
        asked.append(url)
        return str(tmp_path / "notop.weights.h5")

    monkeypatch.setattr(file_utils, "get_file", fetch)
    source = from_imagenet(ENCODERS["resnet50v2"])
    assert len(asked) == 1 and asked[0].endswith("notop.h5")
    assert source.bands == RGB
    own = layer_weights(library)
    assert source.layers.keys() == own.keys()
    for name, weights in own.items():
        assert_same(source.layers[name], weights)


def test_a_failed_download_is_an_error_that_says_what_to_do_without_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise Exception("URL fetch failure on https://example.org/notop.h5: None -- no route to host")

    monkeypatch.setattr(file_utils, "get_file", fail)
    with pytest.raises(
        UsageError, match=r"(?s)weights of resnet50v2 by keras.applications.*no route.*PATH\.h5"
    ):
        from_imagenet(ENCODERS["resnet50v2"])


@pytest.mark.parametrize("name", ["plain", "resnet34", "mit_b0"])
def test_imagenet_for_an_encoder_without_such_weights_names_those_that_have_some(name: str) -> None:
    with pytest.raises(UsageError, match=rf"\(resnet50v2, .*convnext_tiny\), found --encoder={name};"):
        from_imagenet(ENCODERS[name])


def test_every_encoder_that_promises_imagenet_weights_has_a_library_to_get_them_from() -> None:
    assert {name for name, entry in ENCODERS.items() if entry.imagenet} == {
        name for name, entry in ENCODERS.items() if entry.library and entry.source == "keras.applications"
    }


# Files


def test_a_keras_file_of_as_many_bands_is_taken_as_it_is(tmp_path: Path) -> None:
    source = shaken(encoder("plain", 5))
    source.save(tmp_path / "encoder.keras")
    own, bands = encoder("plain", 5, seed=1), BAND_NAMES[2:]
    loaded = load_into(own, bands, from_file(tmp_path / "encoder.keras", ENCODERS["plain"], bands))
    assert loaded == len(own.weights)
    assert_same(own.get_weights(), source.get_weights())


def test_three_bands_of_a_keras_file_are_red_green_and_blue(tmp_path: Path) -> None:
    source = encoder("plain", 3)
    source.save(tmp_path / "encoder.keras")
    own = encoder("plain", 7, seed=1)
    load_into(own, BAND_NAMES, from_file(tmp_path / "encoder.keras", ENCODERS["plain"], BAND_NAMES))
    np.testing.assert_array_equal(own.weights[0].numpy(), inflate(source.weights[0].numpy(), RGB, BAND_NAMES))
    assert_same(own.get_weights()[1:], source.get_weights()[1:])


def test_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    encoder("plain", 5).save(tmp_path / "encoder.keras")
    with pytest.raises(UsageError, match=r"encoder\.keras: expected an encoder .* of 7 \(red.*found inputs"):
        from_file(tmp_path / "encoder.keras", ENCODERS["plain"], BAND_NAMES)


@pytest.mark.parametrize("fusion", ["none", pytest.param("concat", marks=pytest.mark.slow)])
def test_a_whole_model_is_refused_and_the_run_folder_asked_for(fusion: str, tmp_path: Path) -> None:
    model = build_model(ModelSpec("unet", "plain", 4, SIZE, BAND_NAMES, fusion), "float32", 0)
    model.save(tmp_path / "best.keras")
    with pytest.raises(UsageError, match=r"best\.keras: .*found a whole model; give the run folder"):
        from_file(tmp_path / "best.keras", ENCODERS["plain"], BAND_NAMES)


@pytest.mark.parametrize("name", ["encoder.keras", "encoder.h5"])
def test_a_file_that_cannot_be_read_is_an_error_with_its_path(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(UsageError, match=rf"--pretrained={tmp_path / name}: expected"):
        from_file(tmp_path / name, ENCODERS["resnet50v2"], BAND_NAMES)


def test_a_file_of_another_kind_and_h5_without_a_library_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected imagenet, a run folder, a .keras file or a .h5 file"):
        from_file(tmp_path / "weights.pth", ENCODERS["resnet50v2"], BAND_NAMES)
    with pytest.raises(UsageError, match=r"expected a .keras file or a run folder for --encoder=mit_b0"):
        from_file(tmp_path / "weights.h5", ENCODERS["mit_b0"], BAND_NAMES)


def test_another_architecture_is_refused_by_the_names_of_both() -> None:
    source = Pretrained("run runs/mit", BAND_NAMES, layer_weights(encoder("mit_b0", 7)))
    with pytest.raises(UsageError, match=r"run runs/mit: expected weights of .* 'encoder' .* found another"):
        load_into(encoder("plain", 7), BAND_NAMES, source)


def test_another_width_is_refused_by_the_layer_that_tells() -> None:
    wide = ENCODERS["plain"].build(EncoderRequest("encoder", SIZE, 7, 8))
    source = Pretrained("run runs/wide", BAND_NAMES, layer_weights(wide))
    with pytest.raises(UsageError, match=r"level0_a_conv.*\(3, 3, 7, 4\).*\(3, 3, 7, 8\)"):
        load_into(encoder("plain", 7), BAND_NAMES, source)


def test_layers_that_the_encoder_lacks_are_refused_unless_they_are_a_classifier() -> None:
    layers = layer_weights(encoder("plain", 7)) | {"level5_a_conv": [kernel()]}
    with pytest.raises(UsageError, match="level5_a_conv"):
        load_into(encoder("plain", 7), BAND_NAMES, Pretrained("a file", BAND_NAMES, layers))
    assert load_into(encoder("plain", 7), BAND_NAMES, Pretrained("a file", BAND_NAMES, layers, exact=False))
