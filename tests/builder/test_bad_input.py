"""Bad input: one error that lists every offending file with what was expected and found, and nothing written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from small_world import (
    IN_CHALLENGE_FILES,
    MARS_FROM_180,
    SIZE,
    build_it,
    labels,
    place,
    raw_bands,
    write_challenge_image,
    write_challenge_mask,
    write_gdal,
    write_public_image,
    write_public_mask,
    write_source,
)

from mmls_tf.errors import InputError, UsageError

STEM = "u"  # sorts after the good tiles


@dataclass(frozen=True)
class Damage:
    """`apply(image, mask)` spoils one good tile; `file` is the offender, the rest words of the message."""

    apply: Callable[[Path, Path], object]
    file: str
    expected: str
    found: str


def altered(band: str, value: float) -> Callable[[Path, Path], None]:
    def apply(image: Path, mask: Path) -> None:
        bands = raw_bands(50)
        bands[band][2, 3] = value
        write_challenge_image(image, bands, 50)

    return apply


def wrong_band_count(image: Path, mask: Path) -> None:
    write_gdal(image, list(raw_bands(50).values())[:6], place(50))


def label_255(image: Path, mask: Path) -> None:
    values = labels(50)
    values[0, 0] = 255
    write_challenge_mask(mask, values, 50)


def image_of_kind(kind: int) -> Callable[[Path, Path], None]:
    def apply(image: Path, mask: Path) -> None:
        write_gdal(image, [raw_bands(50)[name] for name in IN_CHALLENGE_FILES], place(50), kind=kind)

    return apply


def truncated(image: Path, mask: Path) -> None:
    image.write_bytes(image.read_bytes()[: image.stat().st_size * 2 // 3])


def vrt(image: Path, mask: Path) -> None:
    """A VRT that GDAL would follow to a sound image with seven bands."""
    sound = image.with_name("t00.tif")
    gdal.GetDriverByName("VRT").CreateCopy(str(image), gdal.Open(str(sound)))
    assert gdal.Open(str(image)).RasterCount == 7


def nothing_valid(image: Path, mask: Path) -> None:
    bands = raw_bands(50)
    bands["slope"][:] = -3.4e38
    write_challenge_image(image, bands, 50)


SHAPE = f"7 bands of {SIZE} x {SIZE}"
FINITE = "finite numbers where no nodata tag says otherwise"
LABELS = "labels 0 (background) and 1 (landslide)"
DAMAGES = {
    "a larger image": Damage(
        lambda image, mask: write_challenge_image(image, raw_bands(50, 24), 50), "images", SHAPE, "7 of 24 x 24"
    ),
    "a larger mask": Damage(
        lambda image, mask: write_challenge_mask(mask, labels(50, 24), 50), "masks", "1 band of 16", "1 of 24 x 24"
    ),
    "six bands": Damage(wrong_band_count, "images", SHAPE, "6 of 16 x 16"),
    "a mask of two bands": Damage(
        lambda image, mask: write_gdal(mask, [labels(50)] * 2, place(50)), "masks", "1 band of 16 x 16", "2 of 16"
    ),
    "NaN": Damage(altered("dem", np.nan), "images", FINITE, "1 pixels of NaN or infinity in dem"),
    "infinity": Damage(altered("slope", np.inf), "images", FINITE, "1 pixels of NaN or infinity in slope"),
    "minus infinity": Damage(altered("gray", -np.inf), "images", FINITE, "NaN or infinity in gray"),
    "no valid pixel": Damage(nothing_valid, "images", "at least one pixel with data", "none"),
    "a label of 255": Damage(label_255, "masks", LABELS, "values 0, 1, 255"),
    "a truncated image": Damage(truncated, "images", SHAPE, ""),
    "a truncated mask": Damage(lambda image, mask: truncated(mask, mask), "masks", "1 band of 16 x 16", ""),
    "text": Damage(
        lambda image, mask: image.write_text("not a raster"), "images", SHAPE, "something else \\(.*not recogni"
    ),
    "an empty image": Damage(lambda image, mask: image.write_bytes(b""), "images", SHAPE, "an empty file"),
    "an empty mask": Damage(lambda image, mask: mask.write_bytes(b""), "masks", "1 band", "an empty file"),
    "complex numbers": Damage(image_of_kind(gdal.GDT_CFloat32), "images", "float32 or integer", "CFloat32"),
    "float64": Damage(image_of_kind(gdal.GDT_Float64), "images", "float32 or integer", "Float64"),
    "a public tile": Damage(
        lambda image, mask: write_public_image(image, raw_bands(50)), "images", SHAPE, "1 of 16 x 7 in each of 16"
    ),
    "a mask elsewhere": Damage(
        lambda image, mask: write_challenge_mask(mask, labels(50), 51),
        "masks",
        "the geotransform of its image",
        f"{place(51)[0]}.*image has.*{place(50)[0]}",
    ),
    "a VRT": Damage(vrt, "images", SHAPE, "something else"),
    "another CRS": Damage(
        lambda image, mask: write_challenge_image(image, raw_bands(50), 50, wkt=MARS_FROM_180),
        "images",
        "the coordinate reference system of the other tiles",
        "",
    ),
    "a missing mask": Damage(lambda image, mask: mask.unlink(), "images", "a mask .*masks/u.tif", "none"),
    "a missing image": Damage(lambda image, mask: image.unlink(), "masks", "an image .*images/u.tif", "none"),
    "two images of one name": Damage(
        lambda image, mask: shutil.copy(image, image.with_suffix(".tiff")),
        "images",
        "one file of that name",
        "also u.tif",
    ),
}


def add_tile(src: Path, split: str, stem: str) -> tuple[Path, Path]:
    image, mask = (src / split / kind / f"{stem}.tif" for kind in ("images", "masks"))
    write_challenge_image(image, raw_bands(50), 50)
    write_challenge_mask(mask, labels(50), 50)
    return image, mask


def refusal(src: Path, folder: Path, **options: object) -> InputError:
    """Builds what cannot be built and sees to it that no trace is left beside the target."""
    before = sorted(folder.iterdir())
    with pytest.raises(InputError) as caught:
        build_it(src, folder / "data", **options)
    assert sorted(folder.iterdir()) == before
    assert caught.value.exit_code == 2
    return caught.value


def lines_about(error: InputError, path: str) -> list[str]:
    return [line for line in str(error).splitlines() if re.search(rf"{path}f?: expected ", line)]


@pytest.mark.parametrize("split", ["train", "isolated"])
@pytest.mark.parametrize("name", DAMAGES)
def test_refused_and_named(name: str, split: str, challenge_src: Path, tmp_path: Path) -> None:
    damage = DAMAGES[name]
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    damage.apply(*add_tile(src, split, STEM))
    error = refusal(src, tmp_path)
    (line,) = lines_about(error, f"{split}/{damage.file}/{STEM}.tif")
    _, _, told = line.partition(": expected ")
    expected, _, found = told.rpartition(", found ") if name != "a mask elsewhere" else told.partition(", found ")
    assert re.search(damage.expected if "*" in damage.expected else re.escape(damage.expected), expected)
    assert re.search(damage.found, found)
    assert found.strip()
    assert len(error.issues) == 1
    assert str(error).startswith("1 file cannot be used:")


CONTENT = [name for name in DAMAGES if name not in ("a missing mask", "a missing image", "two images of one name")]


def spoil_all(src: Path, names: list[str]) -> set[str]:
    """One tile a damage, spread over the splits; returns the offending files."""
    offenders = set()
    for number, name in enumerate(names):
        split, stem = ("train", "val", "isolated")[number % 3], f"u{number:02d}"
        image, mask = add_tile(src, split, stem)
        DAMAGES[name].apply(image, mask)
        offender = src / split / DAMAGES[name].file / f"{stem}.tif"
        offenders.add(str(offender if name != "two images of one name" else offender.with_suffix(".tiff")))
    return offenders


@pytest.mark.parametrize("workers", [1, 4])
def test_one_error_lists_all_damaged_files(workers: int, challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    offenders = spoil_all(src, CONTENT)
    error = refusal(src, tmp_path, workers=workers)
    assert len(error.issues) == len(offenders)
    assert all(any(path.endswith(issue.path) for path in offenders) for issue in error.issues)
    assert f"{len(offenders)} files cannot be used" in str(error)


@pytest.mark.xfail(strict=True, reason="missing and unpaired files are reported before any file is read")
def test_one_error_lists_missing_files_beside_damaged_ones(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    offenders = spoil_all(src, list(DAMAGES))
    error = refusal(src, tmp_path)
    assert {issue.path for issue in error.issues} == offenders


def test_image_and_mask_of_one_tile_are_both_listed(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    image, mask = add_tile(src, "val", STEM)
    image.write_bytes(b"")
    label_255(image, mask)
    assert {issue.path for issue in refusal(src, tmp_path).issues} == {str(image), str(mask)}


@pytest.mark.xfail(strict=True, reason="one public tile at the head turns challenge tiles into public ones")
def test_challenge_tiles_after_a_public_one_are_not_taken_for_public(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    write_public_image(src / "train/images/t00.tif", raw_bands(0))
    assert refusal(src, tmp_path).issues


@pytest.mark.xfail(strict=True, reason="the first image alone decides what the layout is")
def test_the_odd_one_is_the_offender_even_if_it_comes_first(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    write_public_image(src / "train/images/t00.tif", raw_bands(0))
    assert [issue.path for issue in refusal(src, tmp_path).issues] == [str(src / "train/images/t00.tif")]


@pytest.mark.xfail(strict=True, reason="a page of 7 samples passes for a stack of pages")
def test_challenge_tiles_declared_public_are_refused(challenge_src: Path, tmp_path: Path) -> None:
    assert len(refusal(challenge_src, tmp_path, layout="public").issues) == 10


def test_public_tiles_declared_challenge_are_refused(public_src: Path, tmp_path: Path) -> None:
    assert len(refusal(public_src, tmp_path, layout="challenge").issues) == 10


@pytest.mark.xfail(strict=True, reason="the path lacks --src, and the texts are cut where they are still equal")
def test_a_message_about_crss_names_the_file_and_shows_what_differs(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    image, _ = add_tile(src, "val", STEM)
    write_challenge_image(image, raw_bands(50), 50, wkt=MARS_FROM_180)
    (issue,) = refusal(src, tmp_path).issues
    assert issue.path == str(image)
    assert "180" in issue.found
    assert issue.found not in issue.expected


def test_a_folder_without_images_is_refused(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    for kind in ("images", "masks"):
        shutil.rmtree(src / "val" / kind)
    (src / "val/images").mkdir()
    (issue,) = refusal(src, tmp_path).issues
    assert (issue.path, issue.found) == (str(src / "val/images"), "none")


def test_absent_splits_other_than_train_are_fine(tmp_path: Path) -> None:
    manifest = build_it(write_source(tmp_path / "raw", {"train": 2}), tmp_path / "data")
    assert [split.name for split in manifest.splits] == ["train"]


def test_an_absent_train_split_is_refused_and_what_is_there_is_told(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"val": 1, "test": 1})
    with pytest.raises(UsageError, match=r"expected a folder `train`.*found test, val"):
        build_it(src, tmp_path / "data")
    assert sorted(tmp_path.iterdir()) == [src]


def test_an_absent_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="raw: expected a folder"):
        build_it(tmp_path / "raw", tmp_path / "data")
    assert not list(tmp_path.iterdir())


def test_a_tile_size_other_than_the_files_is_refused_for_every_file(challenge_src: Path, tmp_path: Path) -> None:
    error = refusal(challenge_src, tmp_path, tile_size=32)
    assert len(error.issues) == 20
    assert all("32 x 32" in issue.expected and "16 x 16" in issue.found for issue in error.issues)


@pytest.mark.parametrize("tenths", range(10))
@pytest.mark.parametrize("layout", ["challenge", "public"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_cut_anywhere_is_refused(
    tmp_path: Path, layout: str, kind: str, tenths: int, request: pytest.FixtureRequest
) -> None:
    if (layout, kind) == ("public", "images") and tenths >= 8:  # the pixels are there, the pages are not
        request.applymarker(pytest.mark.xfail(strict=True, reason="missing pages of a public tile pass unseen"))
    src = write_source(tmp_path / "raw", {"train": 2}, layout=layout)
    file = src / f"train/{kind}/t01.tif"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * tenths // 10])
    assert {issue.path for issue in refusal(src, tmp_path).issues} == {str(file)}


@pytest.mark.parametrize(
    ("apply", "found"),
    [
        (lambda image, mask: write_public_image(image, raw_bands(50, 24)), "24 pages of 24 x 7"),
        pytest.param(
            lambda image, mask: write_challenge_image(image, raw_bands(50)),
            "1 page of 16 x 16 x 7",
            marks=pytest.mark.xfail(strict=True, reason="a page of 7 samples passes for a stack of pages"),
        ),
        (lambda image, mask: write_public_mask(mask, labels(50) * 255), "values 0, 255"),
        (lambda image, mask: write_public_mask(mask, labels(50, 24)), "1 page of 24 x 24"),
        (lambda image, mask: image.write_text("not a raster"), "not a TIFF"),
        (lambda image, mask: image.write_bytes(b""), ""),
    ],
)
def test_bad_public_tiles_are_refused(
    apply: Callable[[Path, Path], None], found: str, public_src: Path, tmp_path: Path
) -> None:
    src = shutil.copytree(public_src, tmp_path / "raw")
    image, mask = (src / "val" / kind / "t01.tif" for kind in ("images", "masks"))
    apply(image, mask)
    (issue,) = refusal(src, tmp_path).issues
    assert issue.path in (str(image), str(mask))
    assert found in issue.found
    assert issue.found


def test_files_of_no_known_layout_are_all_listed(tmp_path: Path) -> None:
    src = write_source(tmp_path / "raw", {"train": 3})
    for path in (src / "train/images").iterdir():
        write_gdal(path, [labels(0)], place(0))
    error = refusal(src, tmp_path)
    assert len(error.issues) == 3
    assert all("challenge layout" in issue.expected and "1 band" in issue.found for issue in error.issues)
