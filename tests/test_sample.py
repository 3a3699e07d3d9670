"""The sample: its terrain is what it says, its files are what the real ones are, and a seed is a seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmls_tf.errors import UsageError
from mmls_tf.raster.geotiff import load_gdal, read_geotiff, same_crs
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.raster.mars import MARS_WKT, PIXEL_M
from tfrecords_builder.sample.config import SPLITS, SampleConfig
from tfrecords_builder.sample.fields import fractal, slope_degrees, smooth
from tfrecords_builder.sample.landslides import add_landslides
from tfrecords_builder.sample.regions import Region, make_region
from tfrecords_builder.sample.terrain import make_terrain
from tfrecords_builder.sample.write import BASE_GRID, ISOLATED_GRID, plan_tiles, region_shape, write_sample

SIZE = 32
COUNTS = {"train": 8, "val": 3, "test": 3, "isolated": 3}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tiny(out: Path, **changes: object) -> SampleConfig:
    return SampleConfig(**{"out": str(out), "tile_size": SIZE, **COUNTS, **changes})  # type: ignore[arg-type]


def pixels(path: Path) -> np.ndarray:
    return read_geotiff(path, 1 if path.parent.name == "masks" else 7, SIZE).pixels


def arrays(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): pixels(path).tobytes() for path in sorted(root.rglob("*.tif"))}


def slope_by_gdal(dem: np.ndarray) -> np.ndarray:
    gdal = load_gdal()
    source = gdal.GetDriverByName("MEM").Create("", dem.shape[1], dem.shape[0], 1, gdal.GDT_Float32)
    source.SetGeoTransform((0.0, PIXEL_M, 0.0, 0.0, 0.0, -PIXEL_M))
    source.GetRasterBand(1).WriteArray(dem)
    return gdal.DEMProcessing("", source, "slope", format="MEM").ReadAsArray()


@pytest.fixture(scope="module")
def base() -> Region:
    return make_region(rng(), 384, 512, isolated=False)


@pytest.fixture(scope="module")
def isolated() -> Region:
    return make_region(rng(), 384, 512, isolated=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "raw"
    write_sample(tiny(root))
    return root


def test_same_seed_gives_the_same_arrays_and_another_seed_gives_others(written: Path, tmp_path: Path) -> None:
    write_sample(tiny(tmp_path / "again"))
    write_sample(tiny(tmp_path / "other", seed=1))
    first, again, other = arrays(written), arrays(tmp_path / "again"), arrays(tmp_path / "other")
    assert first == again
    assert not set(first.values()) & set(other.values())


def test_slope_is_gdals_slope_of_the_elevation(base: Region) -> None:
    inside = (slice(1, -1), slice(1, -1))
    expected = slope_by_gdal(base.bands["dem"])
    np.testing.assert_allclose(base.bands["slope"][inside], expected[inside], atol=1e-4)


def test_slope_at_the_border_knows_the_ground_beyond_it(base: Region) -> None:
    alone = slope_degrees(base.bands["dem"].astype(np.float64))
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert not np.allclose(base.bands["slope"][edge], alone[edge], atol=0.1)
        assert np.abs(base.bands["slope"][edge] - alone[edge]).mean() < 5.0


def test_all_bands_but_slope_are_whole_numbers_in_their_range(base: Region) -> None:
    for name, band in base.bands.items():
        assert band.dtype == np.float32
        assert band.shape == base.mask.shape
        if name != "slope":
            assert (band == np.rint(band)).all(), name
        if name not in ("slope", "dem"):
            assert band.min() >= 0.0 and band.max() <= 255.0, name
    assert set(np.unique(base.mask)) == {0, 1}


def test_landslides_remove_and_deposit_ground_and_leave_the_rest_alone() -> None:
    terrain = make_terrain(rng(), (256, 256), steepness=1.0)
    surface = add_landslides(rng(1), terrain, share=0.3)
    change = surface.dem - terrain.dem
    assert (change[surface.mask == 0] == 0.0).all()
    moved = change[surface.mask == 1]
    assert (np.abs(moved) > 1.0).mean() > 0.9
    assert np.quantile(moved, 0.1) < -50.0
    assert np.quantile(moved, 0.9) > 50.0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_foreground_shares_are_about_those_of_the_real_regions(seed: int) -> None:
    assert 0.29 <= make_region(rng(seed), 384, 512, isolated=False).mask.mean() <= 0.36
    assert 0.19 <= make_region(rng(seed), 384, 512, isolated=True).mask.mean() <= 0.26


def test_the_isolated_region_is_higher_brighter_and_gentler(base: Region, isolated: Region) -> None:
    def rise(name: str) -> float:
        return float(isolated.bands[name].mean() - base.bands[name].mean())

    assert rise("dem") == pytest.approx(5100.0, abs=50.0)
    assert all(rise(name) > 10.0 for name in ("red", "green", "blue"))
    assert rise("slope") < 0.0


def test_red_is_brighter_than_green_and_green_than_blue(base: Region) -> None:
    red, green, blue = (base.bands[name].mean() for name in ("red", "green", "blue"))
    assert red > green > blue


def test_the_fine_camera_misses_one_or_two_percent_whatever_lies_there(base: Region) -> None:
    missing = base.bands["gray"] == 0.0
    assert 0.01 <= missing.mean() <= 0.02
    assert 0 < base.mask[missing].mean() < 1


def test_fractals_do_not_wrap_around() -> None:
    field = fractal(rng(), (64, 64), longest_px=40.0, power=5.0)
    assert np.abs(field[0] - field[-1]).mean() > 4.0 * np.abs(field[0] - field[1]).mean()


def test_smoothing_is_scipys_with_mirrored_borders() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    field = rng().standard_normal((40, 53))
    np.testing.assert_allclose(
        smooth(field, 3.0), ndimage.gaussian_filter(field, 3.0, truncate=6.0), atol=2e-3
    )


def test_every_split_has_its_tiles_with_a_mask_for_every_image(written: Path) -> None:
    for split, count in COUNTS.items():
        names = {path.name for path in (written / split / "images").iterdir()}
        assert len(names) == count
        assert names == {path.name for path in (written / split / "masks").iterdir()}


def test_base_splits_share_no_tile_and_are_dealt_by_the_seed() -> None:
    splits = ["train"] * 8 + ["val"] * 3 + ["test"] * 3
    one, two = (plan_tiles(rng(seed), splits, SIZE, BASE_GRID) for seed in (0, 1))
    assert len({plan.name for plan in one}) == len(splits)
    assert sorted(plan.split for plan in one) == sorted(splits)
    assert [plan.split for plan in one] != [plan.split for plan in two]


def test_a_region_has_room_for_its_tiles_and_little_to_spare() -> None:
    assert region_shape(192) == (12, 16)
    assert region_shape(24) == (4, 6)
    for tiles in range(1, 60):
        rows, cols = region_shape(tiles)
        assert tiles <= rows * cols < tiles + max(rows, cols)


def test_tiles_rejoined_by_their_georeference_are_the_region(written: Path) -> None:
    paths = [path for split in SPLITS[:3] for path in sorted((written / split / "images").iterdir())]
    rasters = [read_geotiff(path, 7, SIZE) for path in paths]
    corners = np.array([[r.geotransform[3], r.geotransform[0]] for r in rasters if r.geotransform])
    places = np.rint((corners - [corners[:, 0].max(), corners[:, 1].min()]) / [-PIXEL_M, PIXEL_M]).astype(int)
    rows, cols = region_shape(len(paths))
    dem = np.full((rows * SIZE, cols * SIZE), np.nan, np.float32)
    slope = dem.copy()
    for raster, (row, col) in zip(rasters, places, strict=True):
        window = (slice(row, row + SIZE), slice(col, col + SIZE))
        assert np.isnan(dem[window]).all(), "two tiles in one place"
        slope[window], dem[window] = raster.pixels[1], raster.pixels[2]
    known = np.isfinite(slope_by_gdal(dem)) & (slope > -1e30) & (slope_by_gdal(dem) > -9999.0)
    assert known.sum() > 0.8 * dem.size
    np.testing.assert_allclose(slope[known], slope_by_gdal(dem)[known], atol=1e-3)


def test_georeferences_are_those_of_the_real_grids(written: Path) -> None:
    for split in SPLITS:
        grid = ISOLATED_GRID if split == "isolated" else BASE_GRID
        for path in (written / split / "images").iterdir():
            raster = read_geotiff(path, 7, SIZE)
            assert raster.geotransform is not None and raster.crs_wkt is not None
            col = int(path.stem[3:8])
            assert raster.geotransform[0] == pytest.approx(grid.west_m + col * SIZE * PIXEL_M)
            assert raster.geotransform[1:3] == (PIXEL_M, 0.0)
            assert raster.geotransform[4:] == (0.0, -PIXEL_M)
            assert same_crs(raster.crs_wkt, MARS_WKT)


def test_isolated_lies_to_the_west_of_all_others(written: Path) -> None:
    def west_edges(split: str) -> list[float]:
        rasters = [read_geotiff(path, 7, SIZE) for path in (written / split / "images").iterdir()]
        return [raster.geotransform[0] for raster in rasters if raster.geotransform]

    assert max(west_edges("isolated")) + SIZE * PIXEL_M < min(min(west_edges(split)) for split in SPLITS[:3])


def test_a_few_train_and_isolated_tiles_miss_one_border_line_of_slope(written: Path) -> None:
    lines = 0
    for path in sorted(written.rglob("images/*.tif")):
        missing = pixels(path)[CHALLENGE.order.index("slope")] < -1e30
        if missing.any():
            lines += 1
            assert path.parts[-3] in ("train", "isolated")
            assert missing.sum() == SIZE
            assert missing[0].all() or missing[:, 0].all()
    assert 1 <= lines <= 4


def test_masks_carry_the_misleading_nodata_tag_of_the_real_ones(written: Path) -> None:
    mask = read_geotiff(next((written / "train" / "masks").iterdir()), 1, SIZE)
    image = read_geotiff(next((written / "train" / "images").iterdir()), 7, SIZE)
    assert mask.nodata == (0.0,)
    assert image.nodata == (None,) * 7


def test_a_folder_with_files_is_refused_with_exit_code_2_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    command = [sys.executable, "-m", "tfrecords_builder.sample", "--out", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert f"--out={tmp_path}" in result.stderr and "--overwrite" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_overwrite_replaces_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "raw"
    (out / "val").mkdir(parents=True)
    (out / "val" / "old.txt").write_text("old")
    assert write_sample(tiny(out, train=2, val=0, test=0, isolated=0, overwrite=True))["train"] == 2
    assert [path.name for path in out.iterdir()] == ["train"]


def test_overwrite_spares_a_folder_with_anything_else_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        write_sample(tiny(tmp_path, overwrite=True))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("tfrecords_builder.sample.write.write_geotiff", fail)
    with pytest.raises(OSError, match="disk full"):
        write_sample(tiny(tmp_path / "raw"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 0}, "--train: expected 1 or more"),
        ({"seed": -1}, "--seed: expected 0 or more"),
        ({"tile_size": 8}, "--tile_size: expected 16 or more"),
        ({"isolated": 100_000}, "--isolated: expected at most"),
        ({"out": ""}, "--out: expected a folder"),
    ],
)
def test_a_flag_out_of_range_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tiny(**{"out": tmp_path, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "counts"), [(16, (1, 0, 0, 1)), (64, (3, 1, 1, 2))])
def test_small_tiles_have_landslides_too(tmp_path: Path, size: int, counts: tuple[int, ...]) -> None:
    write_sample(tiny(tmp_path / "raw", tile_size=size, **dict(zip(SPLITS, counts, strict=True))))
    masks = [read_geotiff(path, 1, size).pixels for path in (tmp_path / "raw").rglob("masks/*.tif")]
    assert 0.1 <= np.mean([mask.mean() for mask in masks]) <= 0.6
