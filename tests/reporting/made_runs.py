"""Run folders as training and evaluation leave them, made from seeded noise without a model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from mmls_tf.config import TrainConfig
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation import pictures
from mmls_tf.evaluation.choice import Choice
from mmls_tf.evaluation.counting import count_split
from mmls_tf.evaluation.intervals import spatial_blocks
from mmls_tf.evaluation.result import scores
from mmls_tf.evaluation.subsets import write_tiles
from mmls_tf.schema import SCHEMA_VERSION, Manifest, Place, TileEntry

SIDE = 16
PLACES = {"val": 0, "test": 1, "isolated": 2}


def make_run(
    folder: Path, noise: float = 0.35, splits: tuple[str, ...] = ("val", "test", "isolated"), **flags: Any
) -> Path:
    """A finished run with evaluations of its best weights.

    Args:
      noise: how far its probabilities lie beside the truth.
      flags: of TrainConfig.
    """
    config = TrainConfig(data="made", run=str(folder), **flags)
    folder.mkdir(parents=True)
    fields = {"config": dataclasses.asdict(config), "fingerprint": "f" * 64, "tile_size": SIDE}
    (folder / "run.json").write_text(json.dumps({**fields, "precision": "float32", "backend": "tensorflow"}))
    summary = {
        **fields, "seed": config.seed, "best_epoch": 2, "best_val_miou": 0.7, "last_val_miou": 0.6,
        "ema_val_miou": None, "epochs": 3, "seconds": 90.0, "input_share": 0.01, "parameters": 123,
        "precision": "float32", "jit": False, "backend": "tensorflow", "device": "CPU (Z80)",
        "machine": {"cores": 2}, "commit": "c0ffee", "versions": {},
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "best.keras").write_text(f"weights of {config}")
    (folder / "history.csv").write_text(
        "epoch,loss,miou,val_loss,val_miou\n0,1.5,0.3,2.5,nan\n1,0.9,0.5,1.2,0.55\n2,0.7,0.6,1.1,0.61\n"
    )
    for split in splits:
        add_evaluation(folder, split, noise)
    return folder


def add_evaluation(
    folder: Path, split: str, noise: float, name: str | None = None, fingerprint: str = "f" * 64
) -> dict[str, Any]:
    """An evaluation of twelve tiles, the same ones for every run; one of them has no landslide and none predicted."""
    config = json.loads((folder / "run.json").read_text())["config"]
    truth = np.random.default_rng(PLACES[split])
    guess = np.random.default_rng([PLACES[split], config["seed"], int(1000 * noise)])
    entries, pairs = [], []
    for index in range(12):
        key = f"{split}/tile{index:02d}"
        corner = truth.integers(0, SIDE // 2, 2)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if index:
            mask[corner[0] : corner[0] + 7, corner[1] : corner[1] + 5 + index // 4] = 1
        image = truth.uniform(0, 1, (SIDE, SIDE, 7)).astype(np.float32)
        tile = Tile(key, image, np.ones((SIDE, SIDE), np.uint8), mask)
        wanted = 0.1 + 0.8 * mask + noise * guess.normal(0, 1, mask.shape) * (index > 0)
        pairs.append((tile, np.clip(wanted, 0, 1).astype(np.float32)))
        place = Place("map 232", 64.0 * (index % 6), 64.0 * (index // 6), 232.0)
        entries.append(
            TileEntry(key, split, "", "", "", "", "", 0, 0, 0, None, place, {}, 0.0, index % 2 == 0)
        )
    manifest = Manifest(
        SCHEMA_VERSION, fingerprint, "", "mmlsv2", SIDE, 0, "", (), None, (), (), tuple(entries), (), {}, ""
    )
    counts = count_split(pairs, 0.5)
    sha = hashlib.sha256((folder / "best.keras").read_bytes()).hexdigest()
    result = {
        "split": split, "run": str(folder), "run_finished": (folder / "summary.json").exists(), "weights": "best",
        "weights_sha256": sha, "ensemble": [], "tta": "none", "missing": "", "data": "made",
        "data_fingerprint": fingerprint, "trained_on_this_data_set": True, "tiles": len(entries), "threshold": 0.5,
        "device": "CPU (Z80)", "time": "2026-01-02T03:04:05+00:00", "parameters": 1234, "macs": 5_600_000_000,
        "milliseconds_per_tile": {"1": 12.25, "16": 3.5}, "training_seconds": 90.0,
        **scores(counts, Dataset(Path("made"), manifest), Choice(0.4, 1.5, 12, (sha,), fingerprint)),
    }  # fmt: skip
    if split == "isolated":
        with (folder / "isolated_ledger.jsonl").open("a") as ledger:
            ledger.write("{}\n")
        result["isolated_evaluations"] = {"of_this_run": 1, "of_this_data_set": 7}
    stem = folder / "evaluations" / (name or split)
    stem.parent.mkdir(exist_ok=True)
    groups = spatial_blocks([entry.place for entry in entries], SIDE, 2)
    write_tiles(
        stem.with_suffix(".csv"), counts.tiles, {entry.key: entry for entry in entries}, groups.tolist()
    )
    with patch.object(pictures, "_draw"):  # a report does not read the drawing, which takes the longest
        pictures.write_gallery(
            stem.with_suffix(".png"),
            counts.tiles,
            lambda keys: [pair for pair in pairs if pair[0].key in keys],
            0.5,
        )
    stem.with_suffix(".json").write_text(json.dumps(result))
    return result


def add_robustness(folder: Path) -> dict[str, Any]:
    """A robustness result with a graded family and one of names."""
    graded = [
        {
            "family": "noise", "name": f"noise of {severity:g} sd", "severity": severity, "unit": "train sd",
            "value": 0.7 - severity / 10, "interval": [0.6 - severity / 10, 0.8 - severity / 10],
            "drop": severity / 10, "drop_interval": [-0.01, 0.2],
        }
        for severity in (0.5, 1.0, 2.0)
    ]  # fmt: skip
    named = {
        "family": "missing", "name": "slope", "severity": None, "unit": "", "value": 0.4321, "interval": None,
        "drop": 0.2679, "drop_interval": None,
    }  # fmt: skip
    result = {
        "split": "test",
        "metric": "miou",
        "clean": {"value": 0.7, "interval": [0.6, 0.8]},
        "changes": [*graded, named],
        "not_applicable": [{"family": "missing", "name": "all thermal", "reason": "the run sees none"}],
    }
    (folder / "robustness").mkdir(exist_ok=True)
    (folder / "robustness" / "test.json").write_text(json.dumps(result))
    return result


def evaluation(folder: Path, name: str) -> dict[str, Any]:
    """What stands in the JSON file of an evaluation."""
    return dict(json.loads((folder / "evaluations" / f"{name}.json").read_text()))
