"""Times models beside the same networks in PyTorch, in turn, every run in a process of its own.

    python -m benchmarks.models --torch_python=/path/to/python [--rounds=5] [--steps=20]

On both sides a training step is forward, BCE and Dice loss, backward, gradient clipping and AdamW on 16 tiles of 128 x
128 pixels and seven bands; inference ends with float32 logits in NumPy. PyTorch runs channels_last, in float32 and
under autocast to bfloat16; `default` is what `mmls_tf.train` chooses on this machine. A network that has not the same
number of trainable parameters on both sides is an error. A round starts when the machine is quiet, and is not counted
when other processes took more than `--disturbance` of all CPU time during one of its runs. Prints one JSON object;
ratios are of runs of the same round.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError

PHASES = ("train", "infer")
NETWORKS = ("unet", "deeplabv3plus")
# In this order, so that runs that are compared follow one another.
VARIANTS = {
    "PyTorch float32": ("torch", "float32"),
    "mmls_tf float32": ("keras", "float32"),
    "mmls_tf default": ("keras", "auto"),
    "PyTorch bfloat16": ("torch", "bfloat16"),
}
_QUIET_SECONDS = 10.0
RATIOS = (
    ("mmls_tf float32", "PyTorch float32"),
    ("mmls_tf default", "PyTorch float32"),
    ("mmls_tf default", "PyTorch bfloat16"),
)


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to run, how often."""

    torch_python: str = option(None, "Python interpreter that has PyTorch and NumPy.")
    network: str = option("all", "Network to time; all: every one.", ("all", *NETWORKS))
    rounds: int = option(5, "Rounds of all variants in turn.")
    steps: int = option(20, "Training steps that are timed a run; twice as many for inference.")
    disturbance: float = option(0.05, "Share of all CPU time that other processes may take in a run.")

    def __post_init__(self) -> None:
        for name in ("rounds", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name}={getattr(self, name)}: expected 1 or more")
        if not 0 < self.disturbance <= 1:
            raise UsageError(f"--disturbance={self.disturbance}: expected a share in (0, 1]")


def measure(config: BenchmarkConfig, network: str, side: str, precision: str) -> dict[str, Any]:
    """Runs one variant once in a new process; `others` is the share of CPU time that other processes took.

    Raises:
      UsageError: the interpreter cannot run it.
    """
    python = config.torch_python if side == "torch" else sys.executable
    words = [python, "-m", f"benchmarks.{side}_models", network, precision, str(config.steps)]
    busy, own, started = busy_seconds(), own_seconds(), time.perf_counter()
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UsageError(
            f"{' '.join(words)}: expected a result, found exit code {result.returncode}:\n{result.stderr}"
        )
    all_cores = (time.perf_counter() - started) * (os.cpu_count() or 1)
    others = (busy_seconds() - busy - (own_seconds() - own)) / all_cores
    return {**json.loads(result.stdout.splitlines()[-1]), "others": max(0.0, others)}


def wait_until_quiet(disturbance: float) -> None:
    """Returns once all processes have taken less than that share of CPU time for a while."""
    share = 1.0
    while share > disturbance:
        before = busy_seconds()
        time.sleep(_QUIET_SECONDS)
        share = (busy_seconds() - before) / (_QUIET_SECONDS * (os.cpu_count() or 1))


def busy_seconds() -> float:
    """Returns the CPU seconds of all processes since the machine started (0.0 where there is no /proc/stat)."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system = (int(word) for word in path.read_text(encoding="utf-8").split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Returns the CPU seconds of this process and of those that it has started and waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def versions(torch_python: str) -> dict[str, str]:
    """Returns the versions of what is compared.

    Raises:
      UsageError: the interpreter has no PyTorch.
    """
    words = [torch_python, "-c", "import torch; print(torch.__version__)"]
    try:
        result = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"--torch_python={torch_python}: expected PyTorch, found {error}") from error
    return {
        "torch": result.stdout.strip(),
        **{name: metadata.version(name) for name in ("tensorflow", "keras")},
    }


def summarise(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Tiles per second of every run and their median, and ratios round by round with their median."""
    result: dict[str, Any] = {}
    for name, found in runs.items():
        result[name] = {phase: _with_median([r[phase] for r in found], 1) for phase in PHASES}
        if "precision" in found[0]:
            result[name]["precision"] = found[0]["precision"]
    for ours, theirs in RATIOS:
        pairs = list(zip(runs[ours], runs[theirs], strict=True))
        result[f"{ours} / {theirs}"] = {
            phase: _with_median([one[phase] / other[phase] for one, other in pairs], 2) for phase in PHASES
        }
    return result


def _with_median(values: list[float], digits: int) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), digits),
        "rounds": [round(value, digits) for value in values],
    }


def race(config: BenchmarkConfig, network: str) -> dict[str, Any]:
    """Runs all variants of a network in turn.

    Raises:
      UsageError: both sides have not the same number of trainable parameters.
    """
    rounds: list[dict[str, dict[str, Any]]] = []
    disturbed = 0
    while len(rounds) < config.rounds:
        found = run_round(config, network)
        if found is None:
            disturbed += 1
        else:
            rounds.append(found)
    runs = {name: [found[name] for found in rounds] for name in VARIANTS}
    counts = {name: found[0]["parameters"] for name, found in runs.items()}
    if len(set(counts.values())) > 1:
        raise UsageError(f"{network}: expected the same parameters on both sides, found {counts}")
    return {"parameters": counts["PyTorch float32"], "disturbed_rounds": disturbed, **summarise(runs)}


def run_round(config: BenchmarkConfig, network: str) -> dict[str, dict[str, Any]] | None:
    """Runs all variants once, one after the other; None as soon as one of them was disturbed."""
    found: dict[str, dict[str, Any]] = {}
    wait_until_quiet(config.disturbance)
    for name, (side, precision) in VARIANTS.items():
        found[name] = measure(config, network, side, precision)
        rates = ", ".join(f"{phase} {found[name][phase]:.1f} tiles/s" for phase in PHASES)
        others = found[name]["others"]
        print(f"{network}, {name}: {rates}; other processes {others:.0%}", file=sys.stderr, flush=True)
        if others > config.disturbance:
            return None
    return found


def main() -> None:
    """Times the networks and prints the result."""
    config = config_from_flags(BenchmarkConfig)
    networks = NETWORKS if config.network == "all" else (config.network,)
    result = {
        "cores": os.cpu_count(),
        "versions": versions(config.torch_python),
        **{network: race(config, network) for network in networks},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    define_flags(BenchmarkConfig)  # not where another benchmark imports this one
    run(main)
