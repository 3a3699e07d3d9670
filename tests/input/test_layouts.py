"""Three layouts: told apart by headers, names and pixels; mixtures are named; v1 keeps its own scaling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from own_tiles import mars, needs_real_tiles, unpack, write, write_mask

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import InputError
from mmls_tf.raster.layouts import CHALLENGE, LAYOUTS, PUBLIC, V1, recognise
from mmls_tf.raster.recognition import choose_layout
from tfrecords_builder.sources import Source, find_sources
from tfrecords_builder.tiles import read_tile

SIZE = 64


def test_each_layout_says_by_which_constants_it_is_scaled() -> None:
    assert {name: layout.scaling for name, layout in LAYOUTS.items()} == {
        "challenge": "mmlsv2",
        "public": "mmlsv2",
        "v1": "mmls_v1",
    }


@pytest.mark.parametrize("name", ["Image_patch_1_2.tif", "ImageT_1.tif", "image_3.TIF"])
def test_names_tell_v1_from_the_public_release(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, mars(), "v1")
    assert recognise(path) is V1
    assert recognise(path.rename(tmp_path / "patch.tif")) is PUBLIC


def test_pixels_correct_what_the_names_say(tmp_path: Path) -> None:
    renamed = [write(tmp_path / f"col{index}.tif", mars(index), "v1") for index in range(2)]
    misnamed = [write(tmp_path / f"Image_{index}.tif", mars(index), "public") for index in range(2)]
    assert choose_layout("auto", renamed, SIZE)[0] is V1
    assert choose_layout("auto", misnamed, SIZE)[0] is PUBLIC
    assert choose_layout("public", renamed, SIZE) == (PUBLIC, [])


def test_a_mixture_is_told_with_the_files_of_each(tmp_path: Path) -> None:
    usual = [write(tmp_path / f"a{index}.tif", mars(index)) for index in range(3)]
    odd = write(tmp_path / "0_first.tif", mars(9), "public")
    layout, (issue,) = choose_layout("auto", [odd, *usual], SIZE)
    assert layout is CHALLENGE
    assert (issue.path, issue.found) == (str(odd), "the public layout")
    assert (
        "3 of 4 images" in issue.expected and str(usual[0]) in issue.expected and "--layout" in issue.expected
    )


def test_damaged_images_do_not_hide_the_layout(tmp_path: Path) -> None:
    sound, empty = write(tmp_path / "a.tif", mars()), tmp_path / "b.tif"
    empty.touch()
    assert choose_layout("auto", [empty, sound], SIZE) == (CHALLENGE, [])
    with pytest.raises(InputError, match="an empty file"):
        choose_layout("auto", [empty], SIZE)


def test_an_overview_does_not_make_another_layout(tmp_path: Path) -> None:
    from osgeo import gdal

    path = write(tmp_path / "a.tif", mars())
    expected = CHALLENGE.read_image(str(path), SIZE, ("GTiff",)).pixels
    file = gdal.Open(str(path), gdal.GA_Update)
    file.BuildOverviews("AVERAGE", [2])
    file = None
    assert recognise(path) is CHALLENGE
    np.testing.assert_array_equal(CHALLENGE.read_image(str(path), SIZE, ("GTiff",)).pixels, expected)


def test_a_v1_tile_has_canonical_bands_and_its_own_values(tmp_path: Path) -> None:
    image = write(tmp_path / "Image_1.tif", mars(), "v1")
    mask = write_mask(tmp_path / "Mask_1.tif", SIZE, np.float32)
    tile = read_tile(Source("train", "Image_1", image, mask), V1, SIZE, check_order=False)
    stored = tifffile.imread(image)
    for index, name in enumerate(BAND_NAMES):
        np.testing.assert_array_equal(tile.image[..., index], stored[..., V1.order.index(name)])
    assert tile.mask is not None and tile.mask.dtype == np.uint8
    np.testing.assert_array_equal(tile.mask, np.eye(SIZE, dtype=np.uint8))


def test_a_float_mask_with_other_values_is_refused(tmp_path: Path) -> None:
    image, path = write(tmp_path / "Image_1.tif", mars(), "v1"), tmp_path / "Mask_1.tif"
    tifffile.imwrite(path, np.full((SIZE, SIZE), 0.5, np.float32))
    with pytest.raises(InputError, match="labels 0"):
        read_tile(Source("train", "Image_1", image, path), V1, SIZE, check_order=False)


@needs_real_tiles
def test_the_real_older_release_is_read(tmp_path: Path) -> None:
    src = unpack(tmp_path, "--layout", "v1")
    sources, issues = find_sources(src)
    assert (len(sources), issues) == (6, [])
    layout, odd = choose_layout("auto", [source.image for source in sources], 128)
    assert (layout, odd) == (V1, [])
    for source in sources:
        tile = read_tile(source, layout, 128)
        assert source.mask is not None and source.mask.name.startswith("Mask_")
        np.testing.assert_array_equal(tile.image[..., 0], tifffile.imread(source.image)[..., 2])
        assert tile.mask is not None and set(np.unique(tile.mask)) <= {0, 1}
