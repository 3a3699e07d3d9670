"""Maps of scenes of which some is mapped already, by runs that are told so."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from map_world import (
    TILE,
    canonical,
    give_smear,
    mapped,
    moved,
    plain_map,
    read,
    scene_pixels,
    set_record,
    write_raster,
)

from mmls_tf.errors import InputError, UsageError
from mmls_tf.inference.record import page_facts
from mmls_tf.training.run_folder import RunFolder

CONTEXT = 8
pytestmark = pytest.mark.usefixtures("without_pictures")


@pytest.fixture
def told_run(own_run: Path) -> Path:
    """A run whose network mixes 9 x 9 pixels of what it sees, masks around the tile most of all."""
    set_record(own_run, context=CONTEXT, context_from="all", context_masks="train")
    side = TILE + 2 * CONTEXT
    image = keras.Input((side, side, 8))
    smear = keras.layers.Conv2D(1, 9, padding="same", kernel_initializer="glorot_normal")
    model = keras.Model(image, smear(image))
    kernel, bias = smear.get_weights()
    kernel[:, :, 7] *= 20
    smear.set_weights([kernel, bias])
    RunFolder(own_run).save_model(model, "best")
    return own_run


@pytest.fixture
def labels() -> np.ndarray:
    """What is mapped of a scene of 75 x 100 pixels: the northern 40 rows, less a corner."""
    mask = np.full((75, 100), 255, np.uint8)
    mask[:40] = np.kron(np.random.default_rng(4).integers(0, 2, (5, 10)), np.ones((8, 10)))
    mask[:12, :9] = 255
    return mask


def test_every_window_is_told_the_masks_around_it_and_none_inside(
    told_run: Path, pixels: np.ndarray, scene_file: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    known = np.select([labels == 0, labels == 1], [-1.0, 1.0], 0.0)
    file = write_raster(tmp_path / "mapped.tif", labels)
    record = mapped(told_run, scene_file, tmp_path / "map", overlap=0.5, mapped=str(file))
    valid = canonical(pixels)[1]
    expected = plain_map(told_run, pixels, 0.5, CONTEXT, told=known)
    found = read(tmp_path / "map" / "probability.tif")
    assert np.abs(found[valid] - 254 * expected[valid]).max() < 1.0
    assert (record["mapped"], record["runs"][0]["context_masks"]) == (str(file), "train")
    assert page_facts(record)["Told what is mapped"] == str(file)
    mapped(told_run, scene_file, tmp_path / "alone", overlap=0.5)
    alone = read(tmp_path / "alone" / "probability.tif")
    nothing = plain_map(told_run, pixels, 0.5, CONTEXT, told=np.zeros_like(known))
    assert np.abs(alone[valid] - 254 * nothing[valid]).max() < 1.0
    assert (alone[valid] != found[valid]).mean() > 0.05, "the masks are seen"


def test_tiles_of_masks_are_put_together_by_their_georeference(
    told_run: Path, scene_file: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    file = write_raster(tmp_path / "mapped.tif", labels)
    for row, column in ((0, 0), (0, 50), (40, 0), (40, 50)):
        part = labels[row : row + 40, column : column + 50]
        write_raster(tmp_path / "tiles" / "masks" / f"{row}_{column}.tif", part, moved(column, row))
    maps = []
    for name, text in (("one", file), ("many", tmp_path / "tiles")):
        mapped(told_run, scene_file, tmp_path / name, mapped=str(text))
        maps.append(read(tmp_path / name / "probability.tif"))
    np.testing.assert_array_equal(*maps)


def test_a_map_that_goes_on_must_be_told_the_same(
    told_run: Path, scene_file: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    file = write_raster(tmp_path / "mapped.tif", labels)
    mapped(told_run, scene_file, tmp_path / "map", mapped=str(file))
    mapped(told_run, scene_file, tmp_path / "map", mapped=str(file), resume=True)
    with pytest.raises(UsageError, match="found mapped: "):
        mapped(told_run, scene_file, tmp_path / "map", resume=True)


def test_what_cannot_be_told_is_refused(
    told_run: Path, own_run: Path, scene_file: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    file = write_raster(tmp_path / "mapped.tif", labels + 3)
    with pytest.raises(InputError, match=r"expected a mask of 0, 1 and 255 \(unknown\)"):
        mapped(told_run, scene_file, tmp_path / "map", mapped=str(file))
    bare = write_raster(tmp_path / "bare.tif", scene_pixels(40, 40), None)
    with pytest.raises(UsageError, match=r"--mapped=.*expected a georeferenced scene"):
        mapped(told_run, bare, tmp_path / "map", mapped=str(file))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"--mapped=.*expected masks, "):
        mapped(told_run, scene_file, tmp_path / "map", mapped=str(tmp_path / "empty"))
    far = write_raster(tmp_path / "far.tif", labels, moved(200, 0))
    with pytest.raises(UsageError, match="expected masks with known pixels inside the scene, found none"):
        mapped(told_run, scene_file, tmp_path / "map", mapped=str(far))
    give_smear(own_run, CONTEXT)
    set_record(own_run, context_masks="none")
    with pytest.raises(UsageError, match="expected a run that was trained with --context_masks=train"):
        mapped(own_run, scene_file, tmp_path / "map", mapped=str(file))
    assert not (tmp_path / "map").exists() or not list((tmp_path / "map").glob("*.tif"))


def test_val_must_have_chosen_the_threshold_told_as_the_map_is(
    told_run: Path, scene_file: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    file = write_raster(tmp_path / "mapped.tif", labels)
    with pytest.raises(UsageError, match=r"--threshold=val: .*--missing=known_mask"):
        mapped(told_run, scene_file, tmp_path / "map", threshold="val")
    with pytest.raises(UsageError, match=r"--threshold=val: .*--weights=auto` first"):
        mapped(told_run, scene_file, tmp_path / "map", threshold="val", mapped=str(file))
