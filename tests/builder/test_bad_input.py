"""Bad input: one error that lists every offending file with what was expected and found, and nothing written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from damages import DAMAGES, add_tile, label_255
from small_world import (
    MARS_FROM_180,
    build_it,
    labels,
    place,
    raw_bands,
    write_challenge_image,
    write_gdal,
    write_public_image,
    write_public_mask,
    write_source,
)

from mmls_tf.errors import InputError, UsageError

STEM = "u"  # sorts after the good tiles


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
    expected, _, found = (
        told.rpartition(", found ") if name != "a mask elsewhere" else told.partition(", found ")
    )
    assert re.search(damage.expected if "*" in damage.expected else re.escape(damage.expected), expected)
    assert re.search(damage.found, found)
    assert found.strip()
    assert len(error.issues) == 1
    assert str(error).startswith("1 file cannot be used:")


CONTENT = [
    name for name in DAMAGES if name not in ("a missing mask", "a missing image", "two images of one name")
]


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


def test_challenge_tiles_after_a_public_one_are_not_taken_for_public(
    challenge_src: Path, tmp_path: Path
) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    write_public_image(src / "train/images/t00.tif", raw_bands(0))
    assert refusal(src, tmp_path).issues


def test_the_odd_one_is_the_offender_even_if_it_comes_first(challenge_src: Path, tmp_path: Path) -> None:
    src = shutil.copytree(challenge_src, tmp_path / "raw")
    write_public_image(src / "train/images/t00.tif", raw_bands(0))
    assert [issue.path for issue in refusal(src, tmp_path).issues] == [str(src / "train/images/t00.tif")]


def test_challenge_tiles_declared_public_are_refused(challenge_src: Path, tmp_path: Path) -> None:
    assert len(refusal(challenge_src, tmp_path, layout="public").issues) == 10


def test_public_tiles_declared_challenge_are_refused(public_src: Path, tmp_path: Path) -> None:
    assert len(refusal(public_src, tmp_path, layout="challenge").issues) == 10


def test_a_message_about_crss_names_the_file_and_shows_what_differs(
    challenge_src: Path, tmp_path: Path
) -> None:
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


def test_a_tile_size_other_than_the_files_is_refused_for_every_file(
    challenge_src: Path, tmp_path: Path
) -> None:
    error = refusal(challenge_src, tmp_path, tile_size=32)
    assert len(error.issues) == 20
    assert all("32 x 32" in issue.expected and "16 x 16" in issue.found for issue in error.issues)


@pytest.mark.parametrize("tenths", range(10))
@pytest.mark.parametrize("layout", ["challenge", "public"])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, layout: str, kind: str, tenths: int) -> None:
    src = write_source(tmp_path / "raw", {"train": 2}, layout=layout)
    file = src / f"train/{kind}/t01.tif"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * tenths // 10])
    assert {issue.path for issue in refusal(src, tmp_path).issues} == {str(file)}


@pytest.mark.parametrize(
    ("apply", "found"),
    [
        (lambda image, mask: write_public_image(image, raw_bands(50, 24)), "24 pages of 24 x 7"),
        (
            lambda image, mask: write_challenge_image(image, raw_bands(50)),
            "the challenge layout",
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
