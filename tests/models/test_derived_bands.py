"""Input that transfers: every derived channel against NumPy, SciPy and GDAL; models and runs carry it along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from osgeo import gdal
from scipy import ndimage

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import TrainConfig
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.models import listing
from mmls_tf.models.channels import channels_of
from mmls_tf.models.derived import SCALES, DerivedBands, box_sum
from mmls_tf.models.pretrained import encoders_of
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec

SIZE = 48
UNIT_M = 3000.0  # metres of a unit of normalised elevation
DEM = BAND_NAMES.index("dem")
OPTICAL = [BAND_NAMES.index(name) for name in ("red", "green", "blue", "gray")]
EVERYTHING = "relative_dem+highpass_dem+terrain+robust"
SPEC = ModelSpec("unet", "plain", 4, 32, BAND_NAMES, derive=EVERYTHING, elevation_m=UNIT_M)


@cache
def ground() -> np.ndarray:
    """Two normalised images whose elevation is a smooth random surface of some hundred metres."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, SIZE, SIZE, 7)).astype(np.float32)
    hills = ndimage.gaussian_filter(rng.normal(size=(2, SIZE, SIZE)), (0, 4, 4))
    image[..., DEM] = 0.5 + 2.0 * hills
    return image


def holed() -> np.ndarray:
    """The same with a corner and a line without data."""
    image = ground().copy()
    image[0, :9, :5] = image[1, :, 20] = 0.0
    return image


def known_of(image: np.ndarray) -> np.ndarray:
    return (image != 0).any(axis=-1).astype(np.float64)


def derived(image: np.ndarray, derive: str = EVERYTHING) -> dict[str, np.ndarray]:
    """The channels by name, in metres and the like again."""
    layer = DerivedBands(BAND_NAMES, derive, UNIT_M)
    values = np.asarray(layer(image), np.float64)
    names = channels_of(BAND_NAMES, derive)
    assert values.shape == (*image.shape[:-1], len(names))
    found = {name: values[..., place] for place, name in enumerate(names)}
    return {name: x * SCALES[name][1] + SCALES[name][0] if name in SCALES else x for name, x in found.items()}


def metres(image: np.ndarray) -> np.ndarray:
    return image[..., DEM].astype(np.float64) * UNIT_M


def local_mean(x: np.ndarray, known: np.ndarray, size: int) -> np.ndarray:
    """By SciPy: both sums with zeros outside."""
    total, count = (
        ndimage.uniform_filter(values, (0, size, size), mode="constant") for values in (x * known, known)
    )
    return total / np.maximum(count, 1e-9)


def relative(image: np.ndarray) -> np.ndarray:
    known = known_of(image)
    mean = (metres(image) * known).sum(axis=(1, 2)) / known.sum(axis=(1, 2))
    return (metres(image) - mean[:, None, None]) * known


# What is computed


@pytest.mark.parametrize("size", [3, 9, 33])
def test_sums_over_squares_are_those_of_scipy(size: int) -> None:
    x = np.random.default_rng(1).normal(size=(2, 40, SIZE, 3)).astype(np.float32)
    expected = ndimage.convolve(x.astype(np.float64), np.ones((1, size, size, 1)), mode="constant")
    np.testing.assert_allclose(box_sum(x, size), expected, atol=1e-3)


@pytest.mark.parametrize("make", [ground, holed])
def test_relative_elevation_is_that_above_the_mean_of_what_is_known(make: Callable[[], np.ndarray]) -> None:
    np.testing.assert_allclose(derived(make())["relative_dem"], relative(make()), atol=1e-2)


@pytest.mark.parametrize("make", [ground, holed])
def test_the_high_pass_leaves_out_the_mean_of_the_square_around(make: Callable[[], np.ndarray]) -> None:
    known = known_of(make())
    expected = (metres(make()) - local_mean(metres(make()), known, 33)) * known
    np.testing.assert_allclose(derived(make())["highpass_dem"], expected, atol=1e-2)


@pytest.mark.parametrize("make", [ground, holed])
def test_roughness_is_the_local_deviation_of_residual_topography(make: Callable[[], np.ndarray]) -> None:
    known = known_of(make())
    residual = relative(make()) - local_mean(relative(make()), known, 9)
    variance = local_mean(residual**2, known, 9) - local_mean(residual, known, 9) ** 2
    expected = np.sqrt(np.maximum(variance, 0.0))
    inside = known > 0
    np.testing.assert_allclose(derived(make())["roughness"][inside], expected[inside], atol=5e-2)


def test_a_plane_is_neither_rough_nor_curved_away_from_the_border() -> None:
    image = ground().copy()
    image[..., DEM] = np.arange(SIZE)[:, None] * 0.02 + np.arange(SIZE)[None, :] * 0.01
    found = derived(image)
    np.testing.assert_allclose(found["roughness"][:, 8:-8, 8:-8], 0.0, atol=0.2)
    np.testing.assert_allclose(found["curvature"], 0.0, atol=1e-6)


def test_curvature_is_the_negative_laplacian_where_all_nine_pixels_are_known() -> None:
    expected = -ndimage.laplace(metres(ground()), axes=(1, 2)) / 232.0**2
    curvature = derived(ground())["curvature"]
    np.testing.assert_allclose(curvature[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-6)
    inner = ndimage.minimum_filter(known_of(holed()), (0, 3, 3), mode="constant", cval=0.0) > 0
    np.testing.assert_allclose(derived(holed())["curvature"], np.where(inner, expected, 0.0), atol=1e-6)


def test_aspect_is_gdals_where_ground_is_steep_and_fades_where_it_is_flat() -> None:
    image = ground()
    for number in range(len(image)):
        source = gdal.GetDriverByName("MEM").Create("", SIZE, SIZE, 1, gdal.GDT_Float32)
        source.SetGeoTransform((0.0, 232.0, 0.0, 0.0, 0.0, -232.0))
        source.GetRasterBand(1).WriteArray(metres(image)[number].astype(np.float32))
        made = {
            kind: gdal.DEMProcessing("", source, kind, format="MEM", **more).ReadAsArray()[1:-1, 1:-1]
            for kind, more in (("aspect", {}), ("slope", {"slopeFormat": "percent"}))
        }
        angle, tangent = np.radians(made["aspect"]), made["slope"] / 100
        assert tangent.max() > 0.1
        fading = tangent / np.hypot(tangent, 0.0087)
        found = derived(image)
        inner = (number, slice(1, -1), slice(1, -1))
        np.testing.assert_allclose(found["aspect_sine"][inner], np.sin(angle) * fading, atol=1e-3)
        np.testing.assert_allclose(found["aspect_cosine"][inner], np.cos(angle) * fading, atol=1e-3)


@pytest.mark.parametrize("make", [ground, holed])
def test_robust_bands_are_in_deviations_from_the_median_of_what_is_known(
    make: Callable[[], np.ndarray],
) -> None:
    found, known = derived(make(), "robust"), known_of(make())
    for number in range(2):
        sampled = known[number, ::2, ::2] > 0
        for band in OPTICAL:
            x = make()[number, ..., band].astype(np.float64)
            low, middle, high = np.quantile(x[::2, ::2][sampled], (0.25, 0.5, 0.75))
            expected = (x - middle) / ((high - low) / 1.349) * known[number]
            np.testing.assert_allclose(found[BAND_NAMES[band]][number], expected, atol=1e-4)
    np.testing.assert_array_equal(found["dem"], make()[..., DEM])


def test_a_band_without_contrast_is_not_blown_up() -> None:
    image = ground().copy()
    image[..., 0] *= 1e-3
    assert np.abs(derived(image, "robust")["red"]).max() < 0.1


# What it is good for


def test_elevation_higher_by_a_kilometre_changes_nothing() -> None:
    higher = ground().copy()
    higher[..., DEM] += np.float32(1000.0 / UNIT_M)
    derive = "relative_dem+highpass_dem+terrain"
    layer = DerivedBands(BAND_NAMES, derive, UNIT_M)
    np.testing.assert_allclose(layer(higher), layer(ground()), atol=5e-3)
    assert (
        np.abs(
            np.asarray(DerivedBands(BAND_NAMES, "terrain", UNIT_M)(higher) - layer(ground())[..., :11])
        ).max()
        > 0.3
    )


def test_brighter_and_more_contrasting_optical_bands_change_nothing_that_is_robust() -> None:
    brighter = ground().copy()
    brighter[..., OPTICAL] = brighter[..., OPTICAL] * 1.3 + 0.7
    layer = DerivedBands(BAND_NAMES, "robust")
    np.testing.assert_allclose(layer(brighter), layer(ground()), atol=1e-4)


# What is not known


def test_where_no_band_has_data_every_channel_is_zero_and_counts_for_no_other_pixel() -> None:
    layer = DerivedBands(BAND_NAMES, EVERYTHING, UNIT_M)
    found = np.asarray(layer(holed()))
    assert not found[known_of(holed()) == 0].any()
    nothing = np.asarray(layer(np.zeros_like(holed())))
    assert not nothing.any()
    assert np.isfinite(found).all()


def test_what_is_derived_of_a_missing_band_is_zero_and_the_rest_is_as_before() -> None:
    missing = ground().copy()
    missing[0, ..., DEM] = 0.0
    missing[0, ..., 0] = 0.0
    layer = DerivedBands(BAND_NAMES, EVERYTHING, UNIT_M)
    names = channels_of(BAND_NAMES, EVERYTHING)
    gone = [name in (*SCALES, "red") for name in names]
    before, after = np.asarray(layer(ground())), np.asarray(layer(missing))
    assert not after[0][..., gone].any()
    np.testing.assert_array_equal(after[0][..., np.invert(gone)], before[0][..., np.invert(gone)])
    np.testing.assert_array_equal(after[1], before[1])


# Names


@pytest.mark.parametrize(
    ("derive", "expected"),
    [
        ("none", ("red", "dem", "slope")),
        ("relative_dem", ("red", "relative_dem", "slope")),
        ("highpass_dem", ("red", "highpass_dem", "slope")),
        ("highpass_dem+relative_dem", ("red", "relative_dem", "slope", "highpass_dem")),
        ("terrain", ("red", "dem", "slope", "curvature", "roughness", "aspect_sine", "aspect_cosine")),
        ("robust", ("red", "dem", "slope")),
    ],
)
def test_relative_elevation_takes_the_place_of_the_absolute_one(
    derive: str, expected: tuple[str, ...]
) -> None:
    assert channels_of(("red", "dem", "slope"), derive) == expected
    layer = DerivedBands(("red", "dem", "slope"), derive, UNIT_M)
    assert layer(ground()[..., :3]).shape[-1] == len(expected)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"derive": "relief"},
            r"--derive=relief: expected none, or names .* terrain, robust; found 'relief'",
        ),
        ({"derive": "terrain+"}, "--derive=terrain.: expected none, or names joined by '.'.* found ''"),
        (
            {"derive": "terrain", "bands": "rgb+slope"},
            "expected dem in --bands for terrain, found red, green",
        ),
        (
            {"derive": "robust", "bands": "terrain"},
            "expected an optical band in --bands for robust, found dem",
        ),
    ],
)
def test_a_name_that_cannot_be_derived_is_refused(flags: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**flags)


def test_elevations_without_their_unit_are_refused() -> None:
    with pytest.raises(ValueError, match="derive=terrain: expected elevation_m, found None"):
        build_model(replace(SPEC, derive="terrain", elevation_m=None), "float32", 0)


# In models


def test_the_unit_of_elevation_comes_from_the_statistics_of_the_run() -> None:
    config = TrainConfig(bands="red+dem", derive="terrain")
    spec = ModelSpec.of(config, 32, Normalisation((0, 3), (0.1, 0.2), (0.3, 0.25)))
    assert spec.elevation_m == 0.25 * 12822.0
    assert ModelSpec.of(TrainConfig(), 32).elevation_m is None


def test_without_the_option_a_model_is_what_it_was() -> None:
    plain = build_model(replace(SPEC, derive="none", elevation_m=None), "float32", 0)
    assert not any(isinstance(layer, DerivedBands) for layer in plain.layers)


def test_a_saved_model_gives_the_same_logits(tmp_path: Path) -> None:
    model = build_model(SPEC, "bfloat16", 0)
    assert model.get_layer("derived_bands").output.dtype == "float32"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    image = ground()[:, :32, :32]
    np.testing.assert_array_equal(model(image), loaded(image))
    assert loaded.get_layer("derived_bands").get_config()["elevation_m"] == UNIT_M


def test_xla_computes_the_same_channels() -> None:
    layer = DerivedBands(BAND_NAMES, EVERYTHING, UNIT_M)
    compiled = tf.function(layer, jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(holed())), layer(holed()), atol=1e-3)


def test_fusion_shows_derived_channels_to_the_side_of_terrain() -> None:
    model = build_model(replace(SPEC, fusion="gated"), "float32", 0)
    found = encoders_of(model, SPEC.channels)
    assert found["optical_encoder"][1] == ("red", "green", "blue", "gray")
    assert found["relief_encoder"][1] == (
        "relative_dem",
        "slope",
        "thermal_inertia",
        "highpass_dem",
        *("curvature", "roughness", "aspect_sine", "aspect_cosine"),
    )


def test_its_cost_can_be_listed(tmp_path: Path) -> None:
    path = tmp_path / "relative.flags"
    path.write_text("--derive=relative_dem+terrain\n--filters=4\n")
    spec = listing.read_spec(path, 32)
    assert build_model(spec, "float32", 0).get_layer("encoder").input_shape == (None, 32, 32, 11)


# In runs
