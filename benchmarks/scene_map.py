"""Maps a scene as `mmls_tf.predict` does, then times bare forward passes: our side of `benchmarks.scene`.

    python -m benchmarks.scene_map SCENE RUN OUT OVERLAP FILTERS

RUN is a run folder; where there is none yet, one is made whose U-Net has random weights. Its probabilities are near one
half, so the threshold is 0.9 and the map is empty: the products cost what rasters and pictures cost, without polygons.
Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.config import TrainConfig
from mmls_tf.quiet import load_tensorflow

TILE, WARM_UP = 128, 3


def make_run(root: Path, filters: int) -> None:
    """Makes a run folder of the U-Net of configs/unet.flags as training starts it."""
    from mmls_tf.data.normalise import Normalisation
    from mmls_tf.models.registry import build_model
    from mmls_tf.models.spec import ModelSpec
    from mmls_tf.schema import SCHEMA_VERSION
    from mmls_tf.training.device import choose_jit, choose_precision, find_device
    from mmls_tf.training.run_folder import RunFolder, RunRecord

    config, device = TrainConfig(filters=filters), find_device()
    normalisation = Normalisation(tuple(range(7)), (0.4,) * 7, (0.15,) * 7)
    jit, _ = choose_jit(config.jit, device)
    precision, _ = choose_precision(config.precision, device, jit)
    model = build_model(ModelSpec.of(config, TILE, normalisation), precision, config.seed)
    record = RunRecord(
        config, SCHEMA_VERSION, "none", "mmlsv2", TILE, normalisation, precision, jit, "tensorflow", device.kind,
        model.count_params(), {}, "",
    )  # fmt: skip
    RunFolder.create(root, record).save_model(model, "best")


def bare_seconds(predictor: Any, windows: int) -> float:
    """Returns the seconds of forward passes of as many windows on one batch in memory."""
    side = predictor.tile + 2 * predictor.context
    images = np.random.default_rng(0).normal(size=(predictor.batch, side, side, 7)).astype(np.float32)
    for _ in range(WARM_UP):
        predictor.members[0].probability(images)
    started = time.perf_counter()
    for _ in range(math.ceil(windows / predictor.batch)):
        predictor.members[0].probability(images)
    return time.perf_counter() - started


def measure(scene: str, run: str, out: str, overlap: float, filters: int) -> dict[str, Any]:
    """Maps the scene; `seconds` is of rows and products, without the start of the process."""
    load_tensorflow()
    from mmls_tf.inference.config import PredictConfig
    from mmls_tf.inference.job import predict
    from mmls_tf.inference.predictor import Predictor

    if not (Path(run) / "run.json").exists():
        make_run(Path(run), filters)
    config = PredictConfig(
        run=run,
        scene=scene,
        out=out,
        overlap=overlap,
        threshold="0.9",
        check_order=False,
        drivers="GTiff,VRT",
    )
    record = predict(config, "")
    timings = record["timings"]
    predictor = Predictor.load(run, overlap=overlap)
    return {
        "seconds": timings["rows_seconds"] + timings["products_seconds"],
        "rows_seconds": timings["rows_seconds"],
        "products_seconds": timings["products_seconds"],
        "bare_seconds": round(bare_seconds(predictor, record["windows"]["predicted"]), 3),
        "windows": record["windows"]["predicted"],
        "precision": record["runs"][0]["precision"],
        "peak_memory_mb": timings["peak_memory_mb"],
        "memory_before_rows_mb": timings["memory_before_rows_mb"],
    }


if __name__ == "__main__":
    scene, run, out, overlap, filters = sys.argv[1:]
    print(json.dumps(measure(scene, run, out, float(overlap), int(filters))))
