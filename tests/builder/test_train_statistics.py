"""The statistics are those of the valid pixels of the train split, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_world import (
    CANONICAL,
    build_it,
    manifest_of,
    raw_bands,
    read_by_gdal,
    write_challenge_image,
    write_public_image,
)

from tfrecords_builder.statistics import merge, tile_moments


def write_tiles(src: Path, held_out: float | None = None) -> Path:
    """Five train tiles, two with a slope border without data; `held_out` overwrites val, test, isolated."""
    for seed in range(5):
        bands = raw_bands(seed)
        if seed in (1, 3):
            bands["slope"][:, : seed + 1] = -3.4e38
        write_challenge_image(src / f"train/images/t{seed}.tif", bands, seed)
    for seed, split in enumerate(("val", "test", "isolated"), start=5):
        bands = raw_bands(seed)
        if held_out is not None:
            bands = {name: np.full_like(band, held_out) for name, band in bands.items()}
        write_challenge_image(src / f"{split}/images/t{seed}.tif", bands, seed)
    return src


@pytest.fixture(scope="module")
def src(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("statistics") / "raw")


def train_pixels(src: Path) -> np.ndarray:
    """[pixels, 7] float64: the valid pixels of all train images."""
    tiles = [read_by_gdal(path) for path in sorted((src / "train/images").iterdir())]
    return np.concatenate([image[valid == 1] for image, valid in tiles]).astype(np.float64)


def test_statistics_are_numpys_over_all_valid_train_pixels(src: Path, tmp_path: Path) -> None:
    build_it(src, tmp_path / "data")
    statistics = manifest_of(tmp_path / "data")["statistics"]
    pixels = train_pixels(src)
    assert len(pixels) < 5 * 16 * 16
    assert [band["band"] for band in statistics] == list(CANONICAL)
    assert {band["pixels"] for band in statistics} == {len(pixels)}
    for name in ("mean", "std", "min", "max"):
        expected = getattr(np, name)(pixels, axis=0)
        np.testing.assert_allclose([band[name] for band in statistics], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("poison", [0.0, 60.0])
def test_poisoned_val_test_and_isolated_tiles_do_not_move_them(
    src: Path, tmp_path: Path, poison: float
) -> None:
    clean = build_it(src, tmp_path / "clean")
    poisoned = build_it(write_tiles(tmp_path / "raw", poison), tmp_path / "poisoned")
    assert poisoned.fingerprint != clean.fingerprint
    assert poisoned.statistics == clean.statistics


def test_zeros_of_invalid_pixels_do_not_count(tmp_path: Path) -> None:
    bands = {name: np.full((16, 16), 80.0, np.float32) for name in CANONICAL}
    bands["slope"][:8] = -3.4e38
    write_challenge_image(tmp_path / "raw/train/images/t.tif", bands)
    red = build_it(tmp_path / "raw", tmp_path / "data").statistics[0]
    assert (red.pixels, red.std) == (128, pytest.approx(0.0, abs=1e-12))
    assert red.min == red.max == pytest.approx((80 - 18) / 189)


def test_statistics_of_the_public_layout_are_numpys_too(tmp_path: Path) -> None:
    for seed in range(3):
        write_public_image(tmp_path / f"raw/train/images/t{seed}.tif", raw_bands(seed))
        write_challenge_image(tmp_path / f"same/train/images/t{seed}.tif", raw_bands(seed))
    statistics = build_it(tmp_path / "raw", tmp_path / "data").statistics
    pixels = train_pixels(tmp_path / "same")
    np.testing.assert_allclose([band.mean for band in statistics], pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose([band.std for band in statistics], pixels.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("cuts", [(1, 1, 398), (200, 100, 100), (133, 134, 133)])
def test_moments_merge_to_those_of_the_whole(cuts: tuple[int, ...]) -> None:
    """Far from zero and narrow, where a sum of squares would lose every digit."""
    values = (1e4 + np.random.default_rng(0).normal(0, 1e-2, (1, 400, 7))).astype(np.float32)
    parts = np.split(values, np.cumsum(cuts)[:-1], axis=1)
    merged = tile_moments(parts[0], np.ones(parts[0].shape[:2], np.uint8))
    for part in parts[1:]:
        merged = merge(merged, tile_moments(part, np.ones(part.shape[:2], np.uint8)))
    whole = values.reshape(-1, 7).astype(np.float64)
    assert merged.pixels == 400
    np.testing.assert_allclose(merged.mean, whole.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        np.sqrt(np.array(merged.squares) / merged.pixels), whole.std(axis=0), rtol=1e-10
    )
