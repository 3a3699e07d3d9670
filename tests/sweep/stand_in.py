"""A data set of which only the manifest exists, and commands that leave behind what training and evaluation do."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmls_tf.config import TrainConfig
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.schema import SCHEMA_VERSION, Manifest, Place, TileEntry
from mmls_tf.sweeping.plan import parse_grid, plan_cells
from mmls_tf.sweeping.run import Sweep, data_fingerprints


def write_data(
    root: Path, fingerprint: str = "f" * 64, train: int = 8, val: int = 4, placed: bool = True
) -> Path:
    """A data set of so many tiles in a row, without shards."""
    names = [f"train/{number}" for number in range(train)] + [f"val/{number}" for number in range(val)]
    tiles = [
        TileEntry(
            key, key.partition("/")[0], "", "", "", "", "", 0, 0, 0, None,
            Place("map 1", 32.0 * column, 0.0, None) if placed else None,
        )
        for column, key in enumerate(names)
    ]  # fmt: skip
    manifest = Manifest(
        SCHEMA_VERSION, fingerprint, "", "mmlsv2", 32, 0, "", (), None, (), (), tuple(tiles), (), {}, ""
    )
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(manifest.to_json())
    return root


def plan(data: Path, out: Path, grid: str, base: dict[str, Any] | None = None, **options: Any) -> Sweep:
    """What the command makes of its flags."""
    config = TrainConfig(data=str(data), **(base or {}))
    cells = plan_cells(config, parse_grid(grid), out, f"--grid={grid}")
    return Sweep(cells, out, data_fingerprints(cells), **options)


class StandIn:
    """A launch that trains nothing.

    Attributes:
      started: (command, flags as typed) of everything that was asked for.
      fail: run folders whose training fails with that exit code.
      cut_short: run folders whose training is killed before it ends.
      counts: by run folder, the confusion matrix that evaluations find; val mIoU is .5 and a hundredth of the seed.
    """

    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, str]]] = []
        self.fail: dict[str, int] = {}
        self.cut_short: set[str] = set()
        self.counts: dict[str, Confusion] = {}
        self.tiles = 4

    def __call__(self, words: Sequence[str], log: Path) -> int:
        given = dict(word.removeprefix("--").split("=", 1) for word in words[1:])
        self.started.append((words[0], given))
        log.parent.mkdir(parents=True, exist_ok=True)
        name = Path(given["run"]).name
        if words[0] == "mmls_tf.evaluate":
            self._evaluate(given)
            return 0
        if name in self.fail:
            log.write_text("".join(f"line {number}\n" for number in range(40)) + "error: the disk is full\n")
            return self.fail[name]
        self._train(given)
        if name in self.cut_short:
            (Path(given["run"]) / "summary.json").unlink()
            raise KeyboardInterrupt
        return 0

    def trained(self) -> list[str]:
        """Names of the runs whose training was started."""
        return [Path(given["run"]).name for command, given in self.started if command == "mmls_tf.train"]

    def scored(self) -> list[tuple[str, str, str]]:
        """(Name of run, split, weights) of the evaluations that were started."""
        return [
            (Path(given["run"]).name, given["split"], given["weights"])
            for command, given in self.started
            if command == "mmls_tf.evaluate"
        ]

    def _train(self, given: dict[str, str]) -> None:
        kinds = typing.get_type_hints(TrainConfig)
        values = {
            name: text == "true" if kinds[name] is bool else kinds[name](text) for name, text in given.items()
        }
        write_run(Path(given["run"]), TrainConfig(**values))

    def _evaluate(self, given: dict[str, str]) -> None:
        run = Path(given["run"])
        write_evaluation(
            run,
            given["split"],
            given["weights"],
            self.counts.get(run.name, Confusion(3, 1, 1, 5)),
            self.tiles,
        )


def write_run(run: Path, config: TrainConfig, **summary: Any) -> None:
    """A finished run."""
    run.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((Path(config.data) / "dataset.json").read_text())
    versions = {"keras": "3.15.0", "mmls_tf": "0.1.0"}
    record = {
        "config": dataclasses.asdict(config), "fingerprint": manifest["fingerprint"],
        "command": f"python -m mmls_tf.train --data={config.data}",
    }  # fmt: skip
    miou = 0.5 + config.seed / 100
    found = {
        "config": dataclasses.asdict(config), "seed": config.seed, "fingerprint": manifest["fingerprint"],
        "best_epoch": 2, "best_val_miou": miou, "last_val_miou": miou - 0.1,
        "ema_val_miou": miou + 0.1 if config.ema else None, "epochs": config.epochs, "seconds": 12.5,
        "input_share": 0.01, "parameters": 123, "precision": "float32", "jit": False, "backend": "tensorflow",
        "device": "CPU (Z80), Keras on tensorflow", "machine": {"cores": 2, "processor": "Z80"}, "commit": "c0ffee",
        "versions": versions, **summary,
    }  # fmt: skip
    for name in ("best", "last", "ema"):
        (run / f"{name}.keras").write_text(f"{name} weights of seed {config.seed}, lr {config.learning_rate}")
    (run / "run.json").write_text(json.dumps(record))
    (run / "summary.json").write_text(json.dumps(found))


def write_evaluation(run: Path, split: str, weights: str, counts: Confusion, tiles: int = 4) -> None:
    """An evaluation of a run as it is."""
    record = json.loads((run / "run.json").read_text())
    result = {
        "split": split, "run": str(run.absolute()), "weights": weights, "tiles": tiles,
        "weights_sha256": hashlib.sha256((run / f"{weights}.keras").read_bytes()).hexdigest(),
        "data": record["config"]["data"], "data_fingerprint": record["fingerprint"],
        "labelled_pixels": {"pixels": counts.pixels, **dataclasses.asdict(counts), **counts.metrics()},
    }  # fmt: skip
    (run / "evaluations").mkdir(exist_ok=True)
    (run / "evaluations" / f"{split}.json").write_text(json.dumps(result))


def write_robustness(run: Path, name: str, weights: str, clean: float, changed: Mapping[str, float]) -> None:
    """What changes of the input cost a run as it is."""
    record = json.loads((run / "run.json").read_text())
    result = {
        "weights": weights, "tiles": 4, "metric": "miou", "clean": {"value": clean},
        "weights_sha256": hashlib.sha256((run / f"{weights}.keras").read_bytes()).hexdigest(),
        "data_fingerprint": record["fingerprint"],
        "changes": [{"name": change, "value": value} for change, value in changed.items()],
    }  # fmt: skip
    (run / "robustness").mkdir(exist_ok=True)
    (run / "robustness" / f"{name}.json").write_text(json.dumps(result))
