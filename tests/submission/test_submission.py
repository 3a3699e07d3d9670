"""Archives of predicted masks, read back with another library, against predictions made by hand."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tifffile
from submission_world import as_public, give_context, read_back, require_alike

from mmls_tf.data.dataset import open_dataset
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.errors import DatasetError, InputError, UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.prediction.member import load_member
from mmls_tf.prediction.tiles import predict_tiles
from mmls_tf.training.run_folder import RunFolder


def by_hand(run: Path, tile: Tile, which: str = "best") -> np.ndarray:
    folder, record = RunFolder.open(run)
    model = keras.saving.load_model(folder.weights(which), compile=False)
    normal = record.normalisation
    x = (tile.image - np.float32(normal.mean)) / np.float32(normal.std) * tile.valid[..., None]
    logits = np.asarray(model(x[None].astype(np.float32), training=False))[0, ..., 0]
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def stems_of(data: Path, split: str = "isolated") -> dict[str, Tile]:
    return {tile.key.partition("/")[2]: tile for tile in read_tiles(open_dataset(data), split)}


@pytest.mark.parametrize("batch", [1, 3])
def test_masks_are_the_predictions_of_the_records(
    sent: Callable, own_run: Path, own_data: Path, batch: int
) -> None:
    result, masks = sent(batch=batch)
    tiles = stems_of(own_data)
    require_alike(masks, {stem: by_hand(own_run, tile) for stem, tile in tiles.items()}, 0.5)
    assert result.tiles == len(tiles) == 4
    share = np.mean(list(masks.values()))
    assert result.foreground_share == pytest.approx(share)
    assert f"{share:.2%} of the pixels" in str(result)


def test_the_archive_is_flat_and_its_files_are_uint8_of_0_and_1_named_as_the_images(
    sent: Callable, images: Path, tmp_path: Path
) -> None:
    _, masks = sent()
    assert sorted(masks) == sorted(path.name for path in images.glob("images/*.tif"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        for entry in archive.infolist():
            assert "/" not in entry.filename
            with tifffile.TiffFile(io.BytesIO(archive.read(entry))) as file:
                (page,) = file.pages
                assert (page.shape, page.dtype, page.compression.name) == ((32, 32), np.uint8, "LZW")
    assert set(np.unique(np.stack(list(masks.values())))) <= {0, 1}


def test_the_same_images_give_the_same_bytes(sent: Callable, tmp_path: Path) -> None:
    first, _ = sent()
    content = (tmp_path / "out.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == sorted(archive.namelist())
    second, _ = sent(overwrite=True)
    assert (tmp_path / "out.zip").read_bytes() == content
    assert first == second


def test_runs_together_are_averaged_and_a_threshold_is_obeyed(
    sent: Callable, own_run: Path, own_data: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_run, tmp_path / "other"))
    shutil.copy(other / "last.keras", other / "best.keras")
    _, masks = sent(ensemble=str(other), threshold="0.4")
    tiles = stems_of(own_data)
    mean = {
        stem: (by_hand(own_run, tile) + by_hand(own_run, tile, "last")) / 2 for stem, tile in tiles.items()
    }
    require_alike(masks, mean, 0.4)


def test_symmetries_are_those_of_an_evaluation(sent: Callable, own_run: Path, own_data: Path) -> None:
    _, masks = sent(tta="d4")
    member = load_member(own_run, "best", "tensorflow")
    found = predict_tiles([member], open_dataset(own_data), "isolated", 16, "d4")
    require_alike(masks, {tile.key.partition("/")[2]: p for tile, p in found}, 0.5)


@pytest.mark.parametrize("layout", ["challenge", "public"])
def test_tiles_lend_one_another_their_surroundings_by_georeference_or_by_name(
    sent: Callable, own_run: Path, own_data: Path, raw_folder: Path, tmp_path: Path, layout: str
) -> None:
    give_context(own_run, 8)
    dataset = open_dataset(own_data)
    folder = raw_folder / "test" if layout == "challenge" else as_public(raw_folder / "test", tmp_path / "p")
    result, masks = sent(images=str(folder))
    member = load_member(own_run, "best", "tensorflow")
    found = {t.key.partition("/")[2]: p for t, p in predict_tiles([member], dataset, "test", 16)}
    require_alike(masks, found, 0.5)
    assert result.in_surroundings
    assert result.doubtful == ()
    lonely = tmp_path / "lonely" / "images"
    lonely.mkdir(parents=True)
    differ = 0
    for name, mask in masks.items():
        shutil.copy(folder / "images" / name if layout == "challenge" else folder / name, lonely / name)
        _, alone = sent(images=str(lonely.parent), overwrite=True)
        differ += int((alone[name] != mask).any())
        (lonely / name).unlink()
    assert differ > 2, "surroundings were not seen"


def test_a_tile_that_is_not_where_its_name_says_is_predicted_alone_and_named(
    sent: Callable, own_run: Path, images: Path, tmp_path: Path
) -> None:
    give_context(own_run, 8)
    paths = sorted(images.glob("images/*.tif"))
    for path in paths[1:]:
        path.unlink()
    folder = as_public(images, tmp_path / "public", lambda stem: "col00010_row00010")
    stored = tifffile.imread(folder / "col00010_row00010.tif")
    _, alone = sent(images=str(folder))
    stored[..., 3] += 0.5  # six kilometres higher: no neighbour of itself
    tifffile.imwrite(folder / "col00011_row00010.tif", stored)
    result, masks = sent(images=str(folder), overwrite=True)
    assert result.doubtful == ("col00010_row00010", "col00011_row00010")
    assert "are not where their names say" in str(result)
    np.testing.assert_array_equal(masks["col00010_row00010.tif"], alone["col00010_row00010.tif"])


def test_surroundings_that_cannot_be_had_are_an_error_and_a_lone_tile_has_none(
    sent: Callable, own_run: Path, images: Path, tmp_path: Path
) -> None:
    folder = as_public(images, tmp_path / "public", lambda stem: f"tile-{stem[3:8]}x{stem[-5:]}")
    sent(images=str(folder))
    give_context(own_run, 8)
    with pytest.raises(UsageError, match=r"surroundings of a tile \(--context\); found neither for 4 of 4"):
        sent(images=str(folder), overwrite=True)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    result, _ = sent(images=str(folder), overwrite=True)
    assert result.tiles == 1


def test_val_chooses_the_threshold_if_it_was_asked_with_the_same_flags(
    sent: Callable, own_run: Path, own_data: Path
) -> None:
    with pytest.raises(
        UsageError, match=r"found none; run `python -m mmls_tf.evaluate --run=\S+ --split=val"
    ):
        sent(threshold="val")
    score = evaluate(EvaluateConfig(run=str(own_run), data=str(own_data), split="val"), "a test")
    result, masks = sent(threshold="val")
    assert result.threshold == score["chosen_on_val"]["threshold"]
    tiles = stems_of(own_data)
    require_alike(masks, {stem: by_hand(own_run, tile) for stem, tile in tiles.items()}, result.threshold)
    with pytest.raises(UsageError, match=r"found one for other weights.*--weights=last"):
        sent(threshold="val", weights="last", overwrite=True)
    with pytest.raises(UsageError, match=r"found none.*--tta=flips"):
        sent(threshold="val", tta="flips", overwrite=True)


def test_names_must_be_those_that_are_asked_for(sent: Callable, images: Path, tmp_path: Path) -> None:
    stems = sorted(path.stem for path in images.glob("images/*.tif"))
    names = tmp_path / "names.txt"
    names.write_text("\n".join([f"{stems[0]}.tif", *stems[1:], ""]))
    result, _ = sent(names=str(names))
    assert result.tiles == 4
    for text, message in (
        ([*stems, "col00099_row00099"], "found no image for col00099_row00099"),
        (stems[1:], f"images that are not asked for, {stems[0]}"),
        ([*stems, stems[2]], f"expected every name once, found {stems[2]} several times"),
    ):
        names.write_text("\n".join(text))
        with pytest.raises(UsageError, match=message):
            sent(names=str(names), overwrite=True)
    with pytest.raises(UsageError, match=r"--names=no/list: expected a file"):
        sent(names="no/list", overwrite=True)


def test_every_bad_image_is_listed_and_nothing_is_written(
    sent: Callable, images: Path, tmp_path: Path
) -> None:
    paths = sorted(images.glob("images/*.tif"))
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    tifffile.imwrite(paths[1], np.zeros((16, 16, 7), np.float32))
    shutil.copy(paths[2], paths[2].with_suffix(".tiff"))
    with pytest.raises(InputError, match=r"3 files cannot be used") as caught:
        sent()
    text = str(caught.value)
    for wrong in (paths[0].name, paths[1].name, f"{paths[2].stem}.tiff", "expected one file of that name"):
        assert wrong in text
    assert "Nothing was written" in text
    assert not list(tmp_path.glob("*out.zip*"))


def test_a_failure_on_the_way_leaves_nothing(sent: Callable, own_run: Path, tmp_path: Path) -> None:
    folder, _ = RunFolder.open(own_run)
    model = folder.load_model("best")
    model.get_layer("logits").bias.assign([float("nan")])
    folder.save_model(model, "best")
    with pytest.raises(DatasetError, match="expected finite logits, found NaN"):
        sent()
    assert not list(tmp_path.glob("*out.zip*"))
    assert not list(tmp_path.glob(".*"))


def test_an_archive_that_is_there_is_replaced_only_on_request(sent: Callable, tmp_path: Path) -> None:
    (tmp_path / "out.zip").write_text("earlier")
    with pytest.raises(UsageError, match=r"out\.zip: expected a new file, found one"):
        sent()
    assert (tmp_path / "out.zip").read_text() == "earlier"
    assert len(sent(overwrite=True)[1]) == 4
    with pytest.raises(UsageError, match="expected an existing folder"):
        sent(out=str(tmp_path / "no" / "out.zip"))
    with pytest.raises(UsageError, match=r"--out=masks: expected a name that ends in \.zip"):
        sent(out="masks")


def test_folders_without_images_and_images_of_another_scaling_are_refused(
    sent: Callable, images: Path, own_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="expected a folder of images, found none"):
        sent(images=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: expected \*\.tif"):
        sent(images=str(tmp_path / "empty"))
    path = own_run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scaling": "mmls_v1"}))
    with pytest.raises(UsageError, match=r"expected bands scaled as mmls_v1.*found mmlsv2"):
        sent()


def test_an_image_in_another_reference_system_is_refused(sent: Callable, images: Path) -> None:
    from osgeo import gdal

    path = min(images.glob("images/*.tif"))
    dataset = gdal.Open(str(path), gdal.GA_Update)
    dataset.SetProjection('GEOGCS["Moon",DATUM["Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference",0],'
                          'UNIT["degree",0.0174532925199433]]')  # fmt: skip
    dataset.FlushCache()
    dataset = None
    with pytest.raises(InputError, match=rf"{path.name}.*expected the coordinate reference system"):
        sent(check_order=False)


def test_predicting_the_isolated_images_is_no_evaluation(sent: Callable, own_run: Path) -> None:
    sent()
    assert not (own_run / "isolated_ledger.jsonl").exists()
    assert not (own_run / "evaluations").exists()


def test_the_command_says_what_it_wrote(
    own_run: Path,
    images: Path,
    tmp_path: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    flags = [f"--run={own_run}", f"--images={images}", f"--out={tmp_path / 'masks.zip'}"]
    found = command("mmls_tf.submit", *flags)
    assert found.returncode == 0, found.stderr
    assert "4 masks of images in the challenge layout" in found.stdout
    assert len(read_back(tmp_path / "masks.zip")) == 4
    again = command("mmls_tf.submit", *flags)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert "Traceback" not in again.stderr
