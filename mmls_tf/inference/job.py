"""One map: run folders and a scene go in, a folder of georeferenced products comes out."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.errors import MmlsError, UsageError
from mmls_tf.files import write_json
from mmls_tf.inference.config import PredictConfig
from mmls_tf.inference.inventory import Inventory
from mmls_tf.inference.layers import LANDSLIDE, PROBABILITY, landslide_bytes, probability_bytes
from mmls_tf.inference.map_folder import RECORD, MapFolder, Progress
from mmls_tf.inference.predictor import Predictor
from mmls_tf.inference.products import product_names, write_products
from mmls_tf.inference.progress import ProgressLine
from mmls_tf.inference.record import peak_memory_mb, plan_record, prediction_record
from mmls_tf.inference.survey import check_order, survey, value_remarks
from mmls_tf.prediction.threshold import evaluation_on_val, find_threshold
from mmls_tf.raster.byte_map import ByteRows
from mmls_tf.raster.map_scene import MapScene, open_scene_files
from mmls_tf.raster.mars import PIXEL_M
from mmls_tf.raster.mask_files import find_masks
from mmls_tf.raster.mask_mosaic import MaskMosaic, open_mask_mosaic
from mmls_tf.raster.opening import parse_drivers
from mmls_tf.raster.scene import parse_order
from mmls_tf.raster.scene_files import find_scene
from mmls_tf.raster.windows import cover
from mmls_tf.schema import UNKNOWN_LABEL

_ROWS = 512  # of a mask that are read at a time


@dataclass(frozen=True)
class Job:
    """What a prediction works with: all of it open and checked, nothing of it written to."""

    config: PredictConfig
    folder: MapFolder
    predictor: Predictor
    threshold: float
    scene: MapScene
    mapped: MaskMosaic | None = None


def predict(config: PredictConfig, command: str) -> dict[str, Any]:
    """Predicts a scene and writes its map.

    Args:
      command: as typed, for the record.

    Returns:
      What `prediction.json` holds.

    Raises:
      RunFolderError: a run is missing or has no such weights.
      InputError: files of the scene cannot be used, or their bands are not what they should be.
      UsageError: runs, scene, flags and what is in --out do not go together.
      DatasetError: a network gives no number.
    """
    folder = MapFolder(Path(config.out))
    with folder.locked():
        folder.require_free(config.resume, config.overwrite)
        job = _open(config, folder)
        plan = plan_record(config, job.predictor, job.threshold, job.scene, job.mapped)
        if config.resume and (folder.started or folder.finished):
            folder.require_same(plan)
        if folder.finished and not folder.started and config.resume:
            print(f"map        {folder.root} is finished already")
            return folder.record()
        if not (config.resume and folder.complete):
            _predict(job, plan, command)
        folder.publish()
        return folder.record()


def _open(config: PredictConfig, folder: MapFolder) -> Job:
    drivers = parse_drivers(config.drivers)
    files = find_scene(config.scene, drivers)
    scene = open_scene_files(files, parse_order(config.order), drivers, config.resample)
    asked = [name for name in ("min_area_km2", "fill_holes_km2", "simplify_m") if getattr(config, name)]
    if scene.grid is None and asked:
        raise UsageError(
            f"--{asked[0]}={getattr(config, asked[0])}: expected a georeferenced scene, since areas and lengths are "
            f"measured on the ground, found none in {config.scene}; leave the flag out, or write a georeference with "
            "`gdal_edit.py -a_srs -a_ullr`"
        )
    predictor = Predictor.load(
        config.run,
        config.runs[1:],
        config.weights,
        config.tta,
        config.tile,
        config.overlap,
        config.batch,
        config.missing,
        config.backend,
    )
    mapped = _open_mapped(config, scene, predictor)
    evaluated = evaluation_on_val(config.run, config.weights, config.ensemble, config.tta, config.missing)
    threshold = find_threshold(config.threshold, evaluated, predictor.members, told=mapped is not None)
    return Job(config, folder, predictor, threshold, scene, mapped)


def _open_mapped(config: PredictConfig, scene: MapScene, predictor: Predictor) -> MaskMosaic | None:
    if not config.mapped:
        return None
    if not any(member.context_masks != "none" for member in predictor.members):
        raise UsageError(
            f"--mapped={config.mapped}: expected a run that was trained with --context_masks=train, found none; leave "
            "it out, or give such a run"
        )
    if scene.grid is None:
        raise UsageError(
            f"--mapped={config.mapped}: expected a georeferenced scene, found none in {config.scene}"
        )
    mapped = open_mask_mosaic(find_masks("mapped", config.mapped), scene.grid)
    # All of it, before anything is predicted: a wrong value in the last row is not to be found after hours.
    bands = cover(scene.width, scene.height, scene.width, _ROWS)
    if not sum(int((mapped.read(band) != UNKNOWN_LABEL).sum()) for band in bands):
        raise UsageError(
            f"--mapped={config.mapped}: expected masks with known pixels inside the scene, found none; are they of "
            "other ground?"
        )
    return mapped


def _predict(job: Job, plan: dict[str, Any], command: str) -> None:
    """Writes all products into the folder's partial one, the record last."""
    config, folder, scene = job.config, job.folder, job.scene
    remarks = _look_at(job)
    for remark in remarks:
        print(f"remark     {remark}")
    if not (config.resume and folder.started):
        _start(job, plan)
    before = peak_memory_mb()
    progress = _write_rows(job)
    began = time.perf_counter()

    def describe(inventory: Inventory | None) -> dict[str, Any]:
        return prediction_record(config, plan, job.predictor, scene, progress, inventory, remarks, command)

    record = write_products(folder, scene, config.inventory, describe)
    record["timings"]["memory_before_rows_mb"] = round(before)
    record["timings"]["products_seconds"] = round(time.perf_counter() - began, 3)
    record["files"] = [*product_names(folder), RECORD]
    write_json(folder.products / RECORD, record)


def _look_at(job: Job) -> tuple[str, ...]:
    """Surveys the scene: errors where it cannot be meant, remarks where it may not be."""
    config, scene, predictor = job.config, job.scene, job.predictor
    windows = predictor.plan(scene.height, scene.width)
    found = survey(scene, windows, predictor.seen, config.scene)
    grid = scene.grid
    if config.check_order:
        check_order(found, config.scene, *(grid.geotransform, grid.crs_wkt) if grid else (None, None))
    remarks = list(scene.notes)
    for member in predictor.members:
        remarks += value_remarks(found, member.normalisation)
    if scene.resampled_from_m is not None:
        remarks.append(
            f"pixels of {scene.resampled_from_m:.6g} m were brought to {PIXEL_M:g} m; the map is on that grid"
        )
    if grid is None:
        remarks.append(
            "no georeference: the file does not say where its pixels lie, so areas are not known and there are no "
            "polygons (landslides.gpkg) and no page (map.html)"
        )
    return tuple(dict.fromkeys(remarks))


def _start(job: Job, plan: dict[str, Any]) -> None:
    folder, scene = job.folder, job.scene
    folder.clear()
    folder.partial.mkdir()
    try:
        for path, layer in ((folder.probability, PROBABILITY), (folder.detected, LANDSLIDE)):
            ByteRows.create(path, scene.height, scene.width, scene.grid, layer)
        folder.start(plan)
    except (MmlsError, OSError):
        shutil.rmtree(folder.partial, ignore_errors=True)  # a full disk is not to be full of it
        raise


def _write_rows(job: Job) -> Progress:
    """Predicts the rows that are not there yet, and returns what has been done over all attempts."""
    folder, scene, predictor = job.folder, job.scene, job.predictor
    done = folder.load()
    if done.rows:
        print(f"resumed    after row {done.rows} of {scene.height}")
    if done.rows == scene.height:
        return done
    line = ProgressLine(scene.height, scene.width, done.rows)
    probability, detected = ByteRows(folder.probability), ByteRows(folder.detected)
    windows, network_seconds, began = done.windows, done.network_seconds, time.perf_counter()
    try:
        mapped = job.mapped.read if job.mapped else None
        for rows in predictor.predict_rows(scene, done.checkpoint, mapped):
            probability.write(rows.row, probability_bytes(rows.probability))
            detected.write(rows.row, landslide_bytes(rows.probability, job.threshold))
            windows, network_seconds = windows + rows.windows, network_seconds + rows.seconds
            finished = rows.row + len(rows.probability)
            if rows.checkpoint is not None:
                seconds = done.seconds + time.perf_counter() - began
                folder.save(Progress(finished, windows, network_seconds, seconds, rows.checkpoint))
            line.show(finished)
    finally:
        line.close()
        probability.close()
        detected.close()
    return folder.load()
