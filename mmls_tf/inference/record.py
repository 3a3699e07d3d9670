"""What a map is of and how it was made: `prediction.json`, and what a prediction that goes on must share."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import mmls_tf
from mmls_tf.inference.config import PredictConfig
from mmls_tf.inference.inventory import Inventory
from mmls_tf.inference.layers import PROBABILITY_STEPS
from mmls_tf.inference.map_folder import Progress
from mmls_tf.inference.plan import WindowPlan
from mmls_tf.inference.predictor import Predictor
from mmls_tf.prediction.member import Member
from mmls_tf.raster.byte_map import NODATA_BYTE
from mmls_tf.raster.map_scene import MapScene
from mmls_tf.raster.mask_mosaic import MaskMosaic

# By name, since a message lists those that differ. What only says where things lie, or how fast, is not among them.
_FLAGS = (
    "tta", "overlap", "batch", "missing", "order", "resample", "drivers", "min_area_km2", "fill_holes_km2",
    "simplify_m",
)  # fmt: skip


def plan_record(
    config: PredictConfig,
    predictor: Predictor,
    threshold: float,
    scene: MapScene,
    mapped: MaskMosaic | None,
) -> dict[str, Any]:
    """Returns everything that the bytes of a map depend on, for JSON."""
    return {
        "weights_sha256": [member.sha256 for member in predictor.members],
        "run_settings": _digest([_settings(member) for member in predictor.members]),
        "scene": _states(scene.files),
        "mapped": _states(mapped.paths) if mapped else "",
        "height": scene.height,
        "width": scene.width,
        "tile": predictor.tile,
        "threshold": threshold,
        **{name: getattr(config, name) for name in _FLAGS},
        "versions": versions(),
    }


def prediction_record(
    config: PredictConfig,
    plan: Mapping[str, Any],
    predictor: Predictor,
    scene: MapScene,
    progress: Progress,
    inventory: Inventory | None,
    remarks: Sequence[str],
    command: str,
) -> dict[str, Any]:
    """Returns the content of `prediction.json`, but for the list of files and the seconds that these took."""
    windows = predictor.plan(scene.height, scene.width)
    return {
        "runs": [_run(member) for member in predictor.members],
        "scene": _scene(config.scene, scene),
        "windows": _windows(predictor, windows, progress.windows),
        "tta": config.tta,
        "missing": config.missing,
        "mapped": config.mapped,
        "threshold": plan["threshold"],
        "threshold_from": "val" if config.threshold == "val" else "the command",
        "probability": {"scale": 1.0 / PROBABILITY_STEPS, "nodata": NODATA_BYTE},
        "inventory": None if inventory is None else inventory.summary(),
        "remarks": list(remarks),
        "timings": {
            "rows_seconds": round(progress.seconds, 3),
            "network_seconds": round(progress.network_seconds, 3),
            "megapixels_per_second": round(scene.height * scene.width / 1e6 / max(progress.seconds, 1e-9), 4),
            "peak_memory_mb": round(peak_memory_mb()),
        },
        "versions": versions(),
        "command": command,
        "plan": dict(plan),
    }


def page_facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Returns what the page of a map says of how it was made, in words by name."""
    windows, scene = record["windows"], record["scene"]
    facts = {
        "Run": "; ".join(f"{run['run']} ({run['model']}, {run['bands']})" for run in record["runs"]),
        "Weights": "; ".join(f"{run['weights']}, SHA-256 {run['sha256'][:12]}" for run in record["runs"]),
        "Threshold": f"{record['threshold']:.4g}, from {record['threshold_from']}",
        "Windows": (
            f"{windows['tile']} pixels, overlap {windows['overlap']:g}, surroundings {windows['context']} pixels; "
            f"{windows['predicted']} of {windows['planned']} have data"
        ),
        "Scene": f"{scene['height']} rows x {scene['width']} columns from {scene['files']} files",
        "Made with": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    if record["tta"] != "none":
        facts["Symmetries"] = record["tta"]
    if record["mapped"]:
        facts["Told what is mapped"] = record["mapped"]
    if record["missing"]:
        facts["Declared missing"] = record["missing"]
    for number, remark in enumerate(record["remarks"], 1):
        facts[f"Remark {number}"] = remark
    return facts


def versions() -> dict[str, str]:
    """Returns the versions of what computes."""
    import keras

    backend = keras.config.backend()
    return {
        "mmls_tf": mmls_tf.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numpy", "keras", backend)},
    }


def peak_memory_mb() -> float:
    """Returns the most memory that this process has held, in MB of 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _run(member: Member) -> dict[str, Any]:
    config = member.record.config
    return {
        "run": str(member.folder.root),
        "model": config.model,
        "encoder": config.encoder,
        "bands": config.bands,
        "context": config.context,
        "context_masks": config.context_masks,
        "precision": member.record.precision,
        "weights": member.weights,
        "sha256": member.sha256,
        "data_fingerprint": member.record.fingerprint,
    }


def _scene(text: str, scene: MapScene) -> dict[str, Any]:
    grid = scene.grid
    return {
        "given": text,
        "files": len(scene.files),
        "bands": list(scene.order),
        "height": scene.height,
        "width": scene.width,
        "geotransform": None if grid is None else list(grid.geotransform),
        "crs_wkt": None if grid is None else grid.crs_wkt,
        "resampled_from_m": scene.resampled_from_m,
    }


def _windows(predictor: Predictor, plan: WindowPlan, predicted: int) -> dict[str, Any]:
    return {
        "tile": predictor.tile,
        "overlap": predictor.overlap,
        "context": predictor.context,
        "batch": predictor.batch,
        "planned": plan.windows,
        "predicted": predicted,
    }


def _settings(member: Member) -> dict[str, Any]:
    return {
        "context": member.context,
        "normalisation": dataclasses.asdict(member.normalisation),
        "jit": bool(member.model.jit_compile),
    }


def _state(path: str) -> tuple[str, int, int]:
    """Returns what changes when somebody writes to a file."""
    about = Path(path).stat()
    return str(Path(path).resolve()), about.st_size, about.st_mtime_ns


def _states(paths: Sequence[str]) -> str:
    return f"{len(paths)} files, {_digest([_state(path) for path in paths])}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
