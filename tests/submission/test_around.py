"""Submissions of images around which the tiles of a data set lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile
from submission_world import as_public, give_context, require_alike

from mmls_tf.data.dataset import open_dataset
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.prediction.member import load_member
from mmls_tf.prediction.tiles import predict_tiles
from tfrecords_builder.build import build
from tfrecords_builder.config import BuildConfig


@pytest.mark.parametrize("flags", [{}, {"context_masks": "train"}], ids=["images", "masks"])
def test_tiles_of_a_data_set_lie_around_the_images_if_it_is_named(
    sent: Callable, own_run: Path, own_data: Path, raw_folder: Path, flags: dict[str, str]
) -> None:
    give_context(own_run, 8, context_from="all", **flags)
    folder = str(raw_folder / "test")
    result, masks = sent(images=folder, around=str(own_data))
    member = load_member(own_run, "best", "tensorflow")
    found = predict_tiles([member], open_dataset(own_data), "test", 16)
    require_alike(masks, {tile.key.partition("/")[2]: p for tile, p in found}, 0.5)
    assert f"Surroundings are those of the images and of {own_data}." in str(result)
    alone, others = sent(images=folder, overwrite=True)
    assert "Surroundings are those of the images alone." in str(alone)
    assert sum((others[name] != mask).any() for name, mask in masks.items()) > 2


def test_names_of_a_grid_are_those_of_the_grid_around_as_far_as_the_ground_goes_on(
    sent: Callable, own_run: Path, raw_folder: Path, tmp_path: Path
) -> None:
    give_context(own_run, 8, context_from="all")
    for split in ("train", "val", "test"):
        (tmp_path / "src" / split).mkdir(parents=True)
        as_public(raw_folder / split, tmp_path / "src" / split / "images")
        shutil.copytree(raw_folder / split / "masks", tmp_path / "src" / split / "masks")
    data = build(BuildConfig(src=str(tmp_path / "src"), out=str(tmp_path / "built"), tile_size=32), "a test")
    assert data is not None
    folder = tmp_path / "src" / "test"
    result, masks = sent(images=str(folder), around=str(tmp_path / "built"))
    member = load_member(own_run, "best", "tensorflow")
    found = predict_tiles([member], open_dataset(tmp_path / "built"), "test", 16)
    require_alike(masks, {tile.key.partition("/")[2]: p for tile, p in found}, 0.5)
    assert result.doubtful == ()
    moved = sorted((folder / "images").iterdir())[0]
    stored = tifffile.imread(moved)
    stored[..., 3] += 0.5  # six kilometres higher than what lies around it
    tifffile.imwrite(moved, stored)
    result, _ = sent(images=str(folder), around=str(tmp_path / "built"), overwrite=True)
    assert moved.stem in result.doubtful


def test_surroundings_are_refused_that_no_run_sees_or_that_lie_elsewhere(
    sent: Callable, own_run: Path, own_data: Path, raw_folder: Path, tmp_path: Path
) -> None:
    for pixels, flags in ((0, {"context_from": "all"}), (8, {"context_from": "split"})):
        give_context(own_run, pixels, **flags)
        with pytest.raises(
            UsageError, match=r"--around=\S+: expected a run that sees the surroundings of other"
        ):
            sent(around=str(own_data))
    give_context(own_run, 8, context_from="all")
    public = as_public(raw_folder / "test", tmp_path / "public")
    with pytest.raises(
        UsageError, match=r"expected tiles in the frame of the images, grid of the folder, found map"
    ):
        sent(images=str(public), around=str(own_data))


def test_a_data_set_that_is_damaged_or_of_another_release_is_no_surroundings(
    sent: Callable, own_run: Path, own_data: Path, raw_folder: Path
) -> None:
    give_context(own_run, 8, context_from="all")
    flags = {"images": str(raw_folder / "test"), "around": str(own_data)}
    manifest = own_data / "dataset.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"scaling": "mmlsv2"', '"scaling": "mmls_v1"'))
    with pytest.raises(DatasetError, match=r"expected bands scaled as mmlsv2.*found\s+mmls_v1"):
        sent(**flags)
    manifest.write_text(text)
    shard = next((own_data / "train").glob("*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match="SHA-256"):
        sent(**flags)


def test_val_must_have_chosen_the_threshold_told_as_the_images_are(
    sent: Callable, own_run: Path, own_data: Path, raw_folder: Path
) -> None:
    give_context(own_run, 8, context_from="all", context_masks="train")
    folder = str(raw_folder / "test")
    with pytest.raises(UsageError, match=r"--threshold=val: .*--missing=known_mask"):
        sent(images=folder, threshold="val")
    with pytest.raises(UsageError, match=r"--threshold=val: .*--weights=auto` first"):
        sent(images=folder, threshold="val", around=str(own_data))
