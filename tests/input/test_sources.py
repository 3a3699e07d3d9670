"""Which folders and files make a data set: names of splits, pairs of files, links and what is no file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from own_tiles import mars, write, write_mask

from mmls_tf.errors import UsageError
from tfrecords_builder.sources import find_sources, split_names_help
from tfrecords_builder.split_names import SPLIT_NAMES


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())


def split(folder: Path, *stems: str, masks: bool = True) -> Path:
    for stem in stems or ("a", "b"):
        touch(folder / "images" / f"{stem}.tif", *([folder / "masks" / f"{stem}.tif"] if masks else []))
    return folder


def keys(src: Path) -> list[str]:
    sources, issues = find_sources(src)
    assert issues == []
    return [source.key for source in sources]


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name, names in SPLIT_NAMES.items() for other in names]
)
def test_every_name_of_a_split_is_known(tmp_path: Path, name: str, other: str) -> None:
    split(tmp_path / other)
    if name != "train":
        split(tmp_path / "train")
    assert {f"{name}/a", f"{name}/b"} <= set(keys(tmp_path))
    assert other in split_names_help()


def test_case_and_dashes_do_not_matter(tmp_path: Path) -> None:
    split(tmp_path / "Train")
    split(tmp_path / "Isolated-Test")
    assert keys(tmp_path) == ["train/a", "train/b", "isolated/a", "isolated/b"]


def test_the_challenge_lies_in_two_folders(tmp_path: Path) -> None:
    split(tmp_path / "phase1_dataset/train")
    split(tmp_path / "phase1_dataset/val")
    split(tmp_path / "phase1_dataset/test", masks=False)
    split(tmp_path / "phase2_dataset/isolated_test", masks=False)
    assert [key.split("/")[0] for key in keys(tmp_path)] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2 + [
        "isolated"
    ] * 2


def test_two_folders_of_one_split_are_refused_by_name(tmp_path: Path) -> None:
    one, other = split(tmp_path / "val", "a"), split(tmp_path / "validation_partition", "b")
    split(tmp_path / "train")
    with pytest.raises(UsageError) as caught:
        find_sources(tmp_path)
    assert str(one) in str(caught.value) and str(other) in str(caught.value)


def test_a_split_that_is_handed_out_twice_is_read_once(tmp_path: Path) -> None:
    split(tmp_path / "phase1_dataset/train")
    shutil.copytree(tmp_path / "phase1_dataset/train", tmp_path / "phase2_dataset/train")
    assert keys(tmp_path) == ["train/a", "train/b"]
    (tmp_path / "phase2_dataset/train/images/a.tif").write_bytes(b"other")
    with pytest.raises(UsageError, match="two with different"):
        find_sources(tmp_path)


def test_other_names_of_images_and_masks(tmp_path: Path) -> None:
    folder = split(tmp_path / "train")
    (folder / "masks").rename(folder / "labels")
    (folder / "images").rename(folder / "img")
    sources, issues = find_sources(tmp_path)
    assert issues == []
    assert [source.mask for source in sources] == [folder / "labels/a.tif", folder / "labels/b.tif"]
    split(tmp_path / "train")
    with pytest.raises(UsageError, match="expected one folder of images"):
        find_sources(tmp_path)


def test_masks_of_the_older_release_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "train_partition"
    for image, mask in (("Image_1", "Mask_1"), ("ImageT_1", "MaskT_1")):
        touch(folder / "images" / f"{image}.tif", folder / "masks" / f"{mask}.tif")
    sources, issues = find_sources(tmp_path)
    assert issues == []
    assert [(source.stem, source.mask.name) for source in sources if source.mask] == [
        ("ImageT_1", "MaskT_1.tif"),
        ("Image_1", "Mask_1.tif"),
    ]
    (folder / "masks/Mask_1.tif").unlink()
    sources, (issue,) = find_sources(tmp_path)
    assert issue.path.endswith("Image_1.tif") and "Mask_1.tif" in issue.expected
    assert len(sources) == 1


def test_what_is_wrong_is_listed_and_the_rest_remains(tmp_path: Path) -> None:
    folder = split(tmp_path / "train", "a", "b", "c")
    (folder / "masks/b.tif").unlink()
    (folder / "images/c.tif").unlink()
    sources, issues = find_sources(tmp_path)
    assert [source.stem for source in sources] == ["a"]
    assert {issue.path for issue in issues} == {str(folder / "images/b.tif"), str(folder / "masks/c.tif")}


def test_links_inside_are_followed_and_links_outside_are_not(tmp_path: Path) -> None:
    src = tmp_path / "raw"
    folder = split(src / "train")
    touch(tmp_path / "secret.tif")
    (folder / "images/in.tif").symlink_to(folder / "images/a.tif")
    (folder / "masks/in.tif").symlink_to(folder / "masks/a.tif")
    (folder / "images/out.tif").symlink_to(tmp_path / "secret.tif")
    (folder / "masks/out.tif").symlink_to("../../../secret.tif")
    (folder / "images/lost.tif").symlink_to(src / "nowhere.tif")
    sources, issues = find_sources(src)
    assert [source.stem for source in sources] == ["a", "b", "in"]
    assert {Path(issue.path).name for issue in issues} == {"out.tif", "lost.tif"}
    assert sum("outside" in issue.found for issue in issues) == 2


def test_a_source_folder_that_is_a_link_is_fine_and_a_split_folder_that_leads_out_is_not(
    tmp_path: Path,
) -> None:
    split(tmp_path / "raw/train")
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    assert keys(tmp_path / "link") == ["train/a", "train/b"]
    split(tmp_path / "elsewhere")
    (tmp_path / "raw/val").symlink_to(tmp_path / "elsewhere")
    _, issues = find_sources(tmp_path / "raw")
    assert issues
    assert all("outside" in issue.found for issue in issues)


def test_pipes_folders_and_devices_are_no_tiles(tmp_path: Path) -> None:
    folder = split(tmp_path / "train")
    os.mkfifo(folder / "images/pipe.tif")
    (folder / "images/folder.tif").mkdir()
    sources, issues = find_sources(tmp_path)
    assert [source.stem for source in sources] == ["a", "b"]
    assert {(Path(issue.path).name, issue.found) for issue in issues} == {
        ("pipe.tif", "a named pipe"),
        ("folder.tif", "a folder"),
    }


def test_other_drivers_bring_their_endings(tmp_path: Path) -> None:
    folder = split(tmp_path / "train", masks=False)
    touch(folder / "images/c.vrt", folder / "images/d.tif.aux.xml", folder / "images/._e.tif")
    assert keys(tmp_path) == ["train/a", "train/b"]
    assert [source.stem for source in find_sources(tmp_path, "GTiff,VRT")[0]] == ["a", "b", "c"]


def test_a_built_source_needs_no_more_than_that(tmp_path: Path) -> None:
    write(tmp_path / "train/images/a.tif", mars())
    write_mask(tmp_path / "train/masks/a.tif")
    assert keys(tmp_path) == ["train/a"]
