"""One evaluation job: a run folder and a split go in, scores come out."""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmls_tf.backend import choose_backend
from mmls_tf.bands import BAND_NAMES, parse_bands
from mmls_tf.config import EvaluateConfig
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.input import evaluation_input
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.evaluation import ledger
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.pictures import write_gallery
from mmls_tf.evaluation.scoring import SplitScore, score_split
from mmls_tf.schema import LEDGER_NAME
from mmls_tf.training.device import choose_jit, find_device
from mmls_tf.training.run_folder import RunFolder, RunRecord, write_json


def evaluate(config: EvaluateConfig, command: str) -> dict[str, Any]:
    """Scores a run on one split, writes result and picture into the run folder, and returns the result.

    Raises:
      RunFolderError: the run is missing or has no weights.
      DatasetError: the data set does not match its manifest or the run, or the split has no masks.
      UsageError: Keras runs on another backend than `config.backend`.
    """
    backend = choose_backend(config.backend)
    folder, record = RunFolder.open(Path(config.run))
    dataset = open_dataset(Path(config.data or record.config.data))
    dataset.labelled_split(config.split)
    _require_fit(dataset, record)
    verify_splits(dataset, [config.split])
    ledgers = [folder.ledger, dataset.root / "isolated" / LEDGER_NAME] if config.split == "isolated" else []
    ledger.require_writable(ledgers)
    model = folder.load_model(config.weights)
    # The backend that trained it need not be the one that scores it, and each has its own use for XLA.
    jit = record.jit if backend == record.backend else choose_jit("auto", find_device())[0]
    model.compile(jit_compile=jit)
    normalisation = record.normalisation.without(_missing(config, record))
    batches = evaluation_input(
        dataset,
        config.split,
        normalisation,
        config.batch,
        record.config.context,
        record.config.context_from,
    )
    score = score_split(model, batches.as_numpy_iterator())
    result = _result(config, command, folder, record, dataset, score)
    if ledgers:
        ledger.enter(ledgers, _ledger_entry(result))
        result["isolated_evaluations"] = {
            "of_this_run": ledger.count_entries(ledgers[0]),
            "of_this_data_set": ledger.count_entries(ledgers[1]),
        }
        result["gap_to_test"] = _gap_to_test(folder, result, replace(config, split="test").name)
    folder.evaluations.mkdir(exist_ok=True)
    picture = folder.evaluations / f"{config.name}.png"
    write_gallery(picture, model, dataset, config.split, batches.as_numpy_iterator(), score)
    result["picture"] = picture.name
    write_json(folder.evaluations / f"{config.name}.json", result)
    return result


def _require_fit(dataset: Dataset, record: RunRecord) -> None:
    if dataset.manifest.scaling != record.scaling:
        raise DatasetError(
            f"{dataset.root}: expected bands scaled as {record.scaling}, as the run was trained on, found "
            f"{dataset.manifest.scaling}; the two releases are not to be mixed"
        )
    if dataset.manifest.tile_size != record.tile_size:
        raise DatasetError(
            f"{dataset.root}: expected tiles of {record.tile_size} pixels, as the run was trained on, found "
            f"{dataset.manifest.tile_size}"
        )


def _missing(config: EvaluateConfig, record: RunRecord) -> tuple[int, ...]:
    if not config.missing:
        return ()
    missing = parse_bands(config.missing, "missing")
    unseen = [BAND_NAMES[band] for band in missing if band not in record.normalisation.bands]
    if unseen or len(missing) == len(record.normalisation.bands):
        found = f"{', '.join(unseen)} besides" if unseen else "all of them"
        raise UsageError(
            f"--missing={config.missing}: expected some of the bands that the run sees, "
            f"{record.config.bands}, found {found}"
        )
    return missing


def _result(
    config: EvaluateConfig,
    command: str,
    folder: RunFolder,
    record: RunRecord,
    dataset: Dataset,
    score: SplitScore,
) -> dict[str, Any]:
    fingerprint = dataset.manifest.fingerprint
    return {
        "split": config.split,
        "run": str(folder.root),
        "run_finished": folder.finished,
        "weights": config.weights,
        "weights_sha256": hashlib.sha256(folder.weights(config.weights).read_bytes()).hexdigest(),
        "bands": record.config.bands,
        "missing": config.missing,
        "context": record.config.context,
        "context_from": record.config.context_from,
        "data": str(dataset.root),
        "data_fingerprint": fingerprint,
        "trained_on_this_data_set": fingerprint == record.fingerprint,
        "tiles": len(score.tiles),
        "threshold": 0.5,
        "labelled_pixels": _numbers(score.labelled),
        "valid_pixels_only": _numbers(score.valid),
        "milliseconds_per_tile": score.milliseconds_per_tile,
        "batch": config.batch,
        "device": str(find_device()),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
    }


def _numbers(confusion: Confusion) -> dict[str, Any]:
    return {"pixels": confusion.pixels, **asdict(confusion), **confusion.metrics()}


def _ledger_entry(result: dict[str, Any]) -> dict[str, Any]:
    names = ("time", "run", "weights", "weights_sha256", "missing", "data", "data_fingerprint", "command")
    return {**{name: result[name] for name in names}, "miou": result["labelled_pixels"]["miou"]}


def _gap_to_test(folder: RunFolder, result: dict[str, Any], name: str) -> dict[str, float] | None:
    """Returns isolated minus test for every metric, None until the same weights were scored on test."""
    path = folder.evaluations / f"{name}.json"
    if not path.exists():
        return None
    test = json.loads(path.read_text(encoding="utf-8"))
    if (
        test["weights_sha256"] != result["weights_sha256"]
        or test["data_fingerprint"] != result["data_fingerprint"]
    ):
        return None
    isolated, base = result["labelled_pixels"], test["labelled_pixels"]
    names = Confusion().metrics()
    return {
        name: isolated[name] - base[name]
        for name in names
        if isolated[name] is not None and base[name] is not None
    }
