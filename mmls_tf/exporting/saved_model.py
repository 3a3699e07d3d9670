"""A run as a TensorFlow SavedModel: canonical bands in, logits and probabilities out, no code of ours needed.

    model = tf.saved_model.load("exported")
    model.serve(image, valid)["probability"]

image        float32 [batch, size, size, 7], the canonical bands of `mmls_tf.bands`: (raw value - offset) / scale; the
             public release holds them so, GeoTIFFs hold raw values. Any batch; `size` is the run's.
valid        uint8 [batch, size, size], 1 where every band has data; what the image holds elsewhere does not matter.
logits       float32 [batch, size, size, 1]
probability  float32 [batch, size, size, 1], the sigmoid of the logits

The choice of bands and their normalisation are inside. A run with --context_masks is told of no mask here.
`assets.extra/mmls.json` says all this in numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from mmls_tf.bands import BANDS
from mmls_tf.config import chosen_weights
from mmls_tf.data.known_mask import show_nothing
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import MmlsError, RunFolderError, UsageError
from mmls_tf.exporting.config import ExportConfig
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.shipped import find_run
from mmls_tf.training.run_folder import RunFolder, RunRecord

# Largest difference of a probability that fused kernels make in float32.
_TOLERANCE = 1e-4
# bfloat16 holds less than three digits, and which of them are lost depends on what is fused with what: the same network
# run step by step, as a graph and by XLA was found .039, .045 and .035 from float32, and .048 from one another. So
# what is exported must be as near to float32 as the model itself, within this factor.
_ROUNDING = 2.0


class ExportError(MmlsError):
    """An exported model does not give what the model gives."""


def export(config: ExportConfig) -> Path:
    """Writes a run as a SavedModel, reads it back, compares, and only then gives it its name.

    Raises:
      RunFolderError: the run is missing or not finished.
      UsageError: something is at --out already.
      ExportError: what was written does not give the model's probabilities.
    """
    folder, record = RunFolder.open(find_run(Path(config.run)))
    if not folder.finished:
        raise RunFolderError(
            f"--run={config.run}: expected a finished run, found no summary.json; training is still going on or was "
            "interrupted: train again with --overwrite"
        )
    out = Path(config.out)
    if out.exists():
        raise UsageError(
            f"--out={out}: expected a new folder, found something there; give another, or remove it"
        )
    weights = chosen_weights(config.weights, record.config)
    model = folder.load_model(weights)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was interrupted
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(model, record.normalisation, partial)
        _compare(model, record, partial)
        _describe(partial, folder, record, weights, model)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def _write(model: keras.Model, normalisation: Normalisation, path: Path) -> None:
    def serve(image: Any, valid: Any) -> dict[str, Any]:
        known = ops.cast(valid, "float32")
        # Not by multiplication: an invalid pixel may hold NaN or 1e38.
        chosen = ops.where(known[..., None] > 0, ops.take(image, normalisation.bands, axis=-1), 0.0)
        normalised = normalisation.apply(chosen, known)
        if model.input_shape[-1] > normalised.shape[-1]:  # a model that is told masks around: here of none
            normalised = ops.pad(normalised, [(0, 0)] * 3 + [(0, 1)])
        logits = model(normalised, training=False)
        return {"logits": logits, "probability": ops.sigmoid(logits)}

    plane = (None, *model.input_shape[1:3])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        serve,
        input_signature=[
            keras.InputSpec(shape=(*plane, len(BANDS)), dtype="float32", name="image"),
            keras.InputSpec(shape=plane, dtype="uint8", name="valid"),
        ],
    )
    archive.write_out(str(path), verbose=False)


def _compare(model: keras.Model, record: RunRecord, path: Path) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    plane = (2, *model.input_shape[1:3])
    image = rng.random((*plane, len(BANDS)), np.float32)
    valid = (rng.random(plane) > 0.1).astype(np.uint8)
    bands = list(record.normalisation.bands)
    normalised = record.normalisation.apply(image[..., bands], valid.astype(np.float32))
    normalised = show_nothing(normalised, model.input_shape[-1])
    expected = _probability(model, normalised)
    allowed = _TOLERANCE
    if record.precision != "float32":
        own, expected = expected, _probability(_in_float32(model, record), normalised)
        allowed += _ROUNDING * float(np.abs(own - expected).max())
    loaded = tf.saved_model.load(str(path))  # kept by name: it owns the variables
    found = loaded.serve(image, valid)["probability"].numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= allowed:
        raise ExportError(
            f"{record.config.run_folder}: expected probabilities of the exported model within {allowed:g} of the "
            f"model's in float32, found a difference of {difference:g}"
        )


def _probability(model: keras.Model, normalised: np.ndarray) -> np.ndarray:
    return np.asarray(ops.sigmoid(ops.cast(model(normalised, training=False), "float32")))


def _in_float32(model: keras.Model, record: RunRecord) -> keras.Model:
    spec = ModelSpec.of(record.config, record.tile_size, record.normalisation)
    twin = build_model(spec, "float32", record.config.seed)
    twin.set_weights(model.get_weights())
    return twin


def _describe(path: Path, folder: RunFolder, record: RunRecord, weights: str, model: keras.Model) -> None:
    description = {
        "run": str(folder.root),
        "weights": weights,
        "weights_sha256": hashlib.sha256(folder.weights(weights).read_bytes()).hexdigest(),
        "size": model.input_shape[1],
        "bands": [dataclasses.asdict(band) for band in BANDS],
        "canonical": "(raw value - offset) / scale",
        "normalisation": dataclasses.asdict(record.normalisation),
        "scaling": record.scaling,
        "precision": record.precision,
        "data_fingerprint": record.fingerprint,
        "versions": record.versions,
    }
    extra = path / "assets.extra"  # where TensorFlow's loaders do not look
    extra.mkdir()
    (extra / "mmls.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
