"""What an evaluation costs beside the bare forward passes of its model.

    python -m benchmarks.evaluation --run=runs/unet --split=test [--rounds=5] [--out=docs/results/evaluation.json]

In every round, in turn and in one process: the model on batches that lie in memory (bare), `predict_tiles` (reading,
normalising, probabilities), and `count_split` on top of it (all that an evaluation counts). The first round warms up.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.files import write_text


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to time."""

    run: str = option(None, "Run folder.")
    split: str = option("test", "Split; val or test.", ("val", "test"))
    batch: int = option(16, "Tiles a forward pass.")
    rounds: int = option(5, "Rounds that count.")
    out: str = option("", "JSON file to write; empty: none.")


def measure(config: BenchmarkConfig) -> dict[str, Any]:
    """Returns seconds of every round by what was timed, and ratios to the bare forward passes, round by round."""
    from mmls_tf.data.dataset import open_dataset
    from mmls_tf.evaluation.counting import count_split
    from mmls_tf.prediction.ahead import ahead
    from mmls_tf.prediction.member import load_member, predict_logits
    from mmls_tf.prediction.tiles import as_dealt, predict_tiles, scoring_input
    from mmls_tf.training.device import find_device

    member = load_member(Path(config.run), "auto", "tensorflow")
    dataset = as_dealt(member, open_dataset(Path(member.record.config.data)))
    images = [batch["image"] for batch in scoring_input(member, dataset, config.split, config.batch)]

    def predictions() -> Any:
        return predict_tiles([member], dataset, config.split, config.batch)

    ways: dict[str, Callable[[], Any]] = {
        "bare": lambda: [predict_logits(member.model, image) for image in images],  # type: ignore[arg-type]
        "predict": lambda: deque(predictions(), maxlen=0),
        "count": lambda: count_split(ahead(predictions(), config.batch), 0.5),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(1 + config.rounds):
        for name, act in ways.items():
            started = time.perf_counter()
            act()
            seconds[name].append(time.perf_counter() - started)
    seconds = {name: values[1:] for name, values in seconds.items()}
    ratios = {
        name: [value / bare for value, bare in zip(seconds[name], seconds["bare"], strict=True)]
        for name in ("predict", "count")
    }
    return {
        "command": command_line(),
        "tiles": dataset.tiles(config.split),
        "device": str(find_device()),
        "cores": os.cpu_count(),
        "seconds": seconds,
        "ratio_to_bare": {name: [min(v), statistics.median(v), max(v)] for name, v in ratios.items()},
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measures and prints."""
    config = config_from_flags(BenchmarkConfig)
    start_backend("tensorflow")
    result = measure(config)
    for name, values in result["seconds"].items():
        print(f"{name:<8} {statistics.median(values):.3f} s ({min(values):.3f}-{max(values):.3f})")
    for name, (low, middle, high) in result["ratio_to_bare"].items():
        print(f"{name:<8} {middle:.2f} times the bare forward passes ({low:.2f}-{high:.2f})")
    print(f"peak memory {result['peak_mib']:.0f} MiB; {result['tiles']} tiles; {result['device']}")
    if config.out:
        write_text(Path(config.out), json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    define_flags(BenchmarkConfig)
    run(main)
