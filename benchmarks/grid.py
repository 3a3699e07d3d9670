"""Every model on every encoder, backend and precision: does XLA compile it, and does it compute the same?

    python -m benchmarks.grid [--models=unet,segformer] [--encoders=plain,mit_b0] [--backends=tensorflow,jax]

Each model on a backend is a process of its own with a time limit (`benchmarks/grid_cell.py`): it builds the model,
predicts and trains one step with XLA and without, compares them, and reads the HLO that XLA compiled; under JAX the
step is lowered for TPU and CUDA as well. Writes --out (JSON) after every process and --table (Markdown) at the end.
Cells that --out has already are not measured again, so that an interrupted grid goes on.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby, product
from pathlib import Path
from typing import Any

from benchmarks.grid_cell import problems
from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError

Row = dict[str, Any]
_KEY = ("model", "encoder", "backend", "precision", "filters", "tile_size", "batch")
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class GridConfig:
    """Which cells to measure, and where to write."""

    models: str = option(
        "all", "Decoders, or DECODER+FUSION, joined by commas; all: every one, and unet+concat, unet+gated."
    )
    encoders: str = option("all", "Encoders joined by commas; all: every one.")
    backends: str = option("tensorflow,jax", "Backends joined by commas.")
    precisions: str = option("float32,bfloat16", "Precisions joined by commas.")
    filters: int = option(4, "Filters of the first level of the plain encoder.")
    tile_size: int = option(64, "Height and width of the images.")
    batch: int = option(4, "Images a step.")
    limit: int = option(1200, "Seconds after which a cell is given up.")
    workers: int = option(1, "Cells measured at a time.")
    out: str = option("docs/results/model_grid.json", "JSON to write, and to go on with.")
    table: str = option("docs/model_grid.md", "Markdown to write.")


def plan(config: GridConfig) -> list[Row]:
    """Returns the keys of all cells.

    Raises:
      UsageError: a name is unknown.
    """
    from mmls_tf.models.encoders.table import ENCODERS
    from mmls_tf.models.registry import DECODERS

    every = {
        "models": [*DECODERS, "unet+concat", "unet+gated"],
        "encoders": list(ENCODERS),
        "backends": ["tensorflow", "jax"],
        "precisions": ["float32", "bfloat16"],
    }
    chosen = []
    for name, known in every.items():
        words = getattr(config, name)
        values = known if words == "all" else words.split(",")
        if name == "models":
            known = [
                *known,
                *(f"{decoder}+{fusion}" for decoder in DECODERS for fusion in ("concat", "gated")),
            ]
        if unknown := [value for value in values if value not in known]:
            raise UsageError(
                f"--{name}={words}: expected names out of {', '.join(known)}, found {unknown[0]!r}"
            )
        chosen.append(values)
    sizes = (config.filters, config.tile_size, config.batch)
    return [dict(zip(_KEY, (*names, *sizes), strict=True)) for names in product(*chosen)]


def measure(keys: list[Row], limit: int, cache: str) -> list[Row]:
    """Measures cells of one backend in a new process; what goes wrong there is a row too."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": keys[0]["backend"],
        # Uncompiled, JAX compiles every operation by itself, for every shape; other cells have most of them too.
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # Quick machine code: XLA's own passes, which are what is tested, do not change.
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0",
    }
    words = [sys.executable, "-m", "benchmarks.grid_cell", *(json.dumps(_cell(key)) for key in keys)]
    try:
        done = subprocess.run(
            words, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return [{**key, "error": f"not done after {limit} s"} for key in keys]
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [""]
        return [{**key, "error": f"exit code {done.returncode}: {lines[-1][:300]}"} for key in keys]
    found = done.stdout.splitlines()[-len(keys) :]
    return [{**key, **json.loads(line)} for key, line in zip(keys, found, strict=True)]


def _cell(key: Row) -> Row:
    decoder, _, fusion = key["model"].partition("+")
    cell = {name: key[name] for name in ("encoder", "precision", "filters", "tile_size", "batch")}
    return {**cell, "decoder": decoder, "fusion": fusion or "none"}


def table(rows: list[Row]) -> str:
    """Returns a Markdown table: a line a model and encoder, a column a backend and precision."""
    columns = list(dict.fromkeys((row["backend"], row["precision"]) for row in rows))
    lines = [
        "| model | encoder | parameters | " + " | ".join(f"{b} {p}" for b, p in columns) + " |",
        "|---|---|---:|" + "---|" * len(columns),
    ]
    for model, encoder in dict.fromkeys((row["model"], row["encoder"]) for row in rows):
        found = {
            (r["backend"], r["precision"]): r for r in rows if (r["model"], r["encoder"]) == (model, encoder)
        }
        parameters = next((f"{r['parameters']:,}" for r in found.values() if "parameters" in r), "")
        cells = [_words(found[column]) if column in found else "" for column in columns]
        lines.append(f"| {model} | {encoder} | {parameters} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _words(row: Row) -> str:
    if wrong := [row["error"]] if "error" in row else problems(row):
        return "**" + "; ".join(wrong).replace("|", "/") + "**"
    if "gradient_error_to_float32" in row:
        near = row["gradient_error_to_float32"]
        gradient = f"{near['xla']:.2f} ({near['uncompiled']:.2f})"
    else:
        gradient = f"{row['gradient_error']:.0e}"
    lowered = ", " + " and ".join(row["lowered"]) if "lowered" in row else ""
    return f"{row['logit_error']:.0e}, {gradient}, {row['hlo']['train']['convolutions']}{lowered}"


def page(result: dict[str, Any]) -> str:
    """Returns the whole Markdown page."""
    rows = result["rows"]
    wrong = sum("error" in row or bool(problems(row)) for row in rows)
    first = rows[0]
    return f"""# The grid of models

Every model with XLA and without: {len(rows)} cells, {len(rows) - wrong} as they should be, {wrong} not.
Made by `{result["command"]}` ({", ".join(f"{n} {v}" for n, v in result["versions"].items())};
{result["machine"]}), on images of {first["tile_size"]} x {first["tile_size"]} pixels in batches of {first["batch"]};
`plain` has {first["filters"]} filters at its first level.

A cell reads: root mean square difference of logits, error of the gradient, convolutions in the optimised HLO of the
training step, and the platforms that the step was lowered for (not run on). In float32 the error of the gradient is
that to the uncompiled step, relative in the L2 norm; in bfloat16 it is that to float32, and in brackets that of the
uncompiled bfloat16 step: the gradient of a fresh network is mostly rounding, so the two must be alike. **Bold** is
what is wrong.

{table(rows)}
"""


def main() -> None:
    """Measures what is missing, and writes."""
    config = config_from_flags(GridConfig)
    start_backend("tensorflow")
    out = Path(config.out)
    result: dict[str, Any] = {"rows": []}
    if out.exists():
        result = json.loads(out.read_text())
    done = {tuple(row[name] for name in _KEY) for row in result["rows"] if "error" not in row}
    result["rows"] = [row for row in result["rows"] if "error" not in row]
    result |= {
        "command": command_line(),
        "versions": {name: metadata.version(name) for name in ("tensorflow", "keras", "jax", "keras-cv")},
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }
    keys = [key for key in plan(config) if tuple(key.values()) not in done]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(config.workers) as pool:
        # Both precisions in one process: they share its start, and the float32 step that both are compared with.
        groups = [list(group) for _, group in groupby(keys, key=lambda key: list(key.values())[:3])]
        for rows in pool.map(lambda group: measure(group, config.limit, cache), groups):
            result["rows"] += rows
            out.write_text(json.dumps(result, indent=1) + "\n")
            for row in rows:
                print(f"{' '.join(str(row[name]) for name in _KEY[:4])}: {_words(row)}", flush=True)
    Path(config.table).write_text(page(result))
    print(f"Written: {out} and {config.table}")


if __name__ == "__main__":
    define_flags(GridConfig)
    run(main)
