"""Every model on every encoder, backend and precision: does XLA compile it, and does it compute the same?

    python -m benchmarks.grid [--models=unet,segformer] [--encoders=plain,mit_b0] [--backends=tensorflow,jax]

Processes of their own (`benchmarks/grid_cell.py`) build the models, predict and train one step with XLA, read the HLO
that XLA compiled, and compare with what TensorFlow computes uncompiled from the same weights; under JAX the step in
bfloat16 is lowered for TPU and CUDA as well. Writes --out (JSON) after every cell and --table (Markdown) at the end.
All decoders on the plain encoder come first, then U-Nets on every encoder, then the rest. Cells that --out has are not
measured again, so that an interrupted grid goes on; --limit=0 only writes the page of what is there.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby, product
from pathlib import Path
from typing import Any

from benchmarks.grid_cell import noisy, problems
from mmls_tf.backend import start_backend
from mmls_tf.entry import command_line, config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError

Row = dict[str, Any]
_KEY = ("model", "encoder", "backend", "precision", "filters", "tile_size", "batch")
_MODELS_A_PROCESS = 4
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
    limit: float = option(1800.0, "Seconds of CPU time after which a cell is given up; 0: measure none.")
    seconds: int = option(0, "Seconds after which no further process is started; 0: no bound.")
    workers: int = option(1, "Processes at a time.")
    xla_flags: str = option(
        "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
        "XLA_FLAGS of the cells: machine code of little optimisation, by the emitters that are quickest.",
    )
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


def jobs(keys: list[Row]) -> list[list[Row]]:
    """Returns the cells in the order of measuring, as lists of those that share their processes.

    To start TensorFlow or JAX takes as long as a small cell: a process has up to four models of one encoder.
    """

    def place(key: Row) -> tuple[int, str]:
        rank = 0 if key["encoder"] == "plain" else 1 if key["model"] == "unet" else 2
        return rank, key["encoder"]

    found = []
    for _, group in groupby(sorted(keys, key=place), key=place):
        cells = list(group)
        models = list(dict.fromkeys(key["model"] for key in cells))
        for first in range(0, len(models), _MODELS_A_PROCESS):
            some = models[first : first + _MODELS_A_PROCESS]
            found.append([key for key in cells if key["model"] in some])
    return found


def measure(keys: list[Row], config: GridConfig, cache: str) -> Iterator[Row]:
    """Measures cells of one encoder, TensorFlow's first; what goes wrong is a row too.

    TensorFlow leaves what it computes uncompiled in files for JAX, of models that are wanted under JAX alone as well.
    """
    by_backend = {name: [key for key in keys if key["backend"] == name] for name in ("tensorflow", "jax")}
    with tempfile.TemporaryDirectory() as references:
        cells = {
            name: [{**_cell(key), "reference": references, "limit": config.limit} for key in some]
            for name, some in by_backend.items()
        }
        only = [{**cell, "compiled": False} for cell in cells["jax"] if cell not in cells["tensorflow"]]
        cells["tensorflow"] += only
        for backend, some in by_backend.items():
            rows = _results(backend, cells[backend], config, cache)
            yield from ({**key, **row} for key, row in zip(some, rows, strict=False))
            for _ in rows:  # references are made by going on
                pass


def _cell(key: Row) -> Row:
    decoder, _, fusion = key["model"].partition("+")
    cell = {name: key[name] for name in ("encoder", "precision", "filters", "tile_size", "batch")}
    return {**cell, "decoder": decoder, "fusion": fusion or "none"}


def _results(backend: str, cells: list[Row], config: GridConfig, cache: str) -> Iterator[Row]:
    """Gives what `benchmarks.grid_cell` prints for each cell; after one that kills it, it is started again."""
    while cells:
        done = 0
        with tempfile.TemporaryFile("w+") as log, _process(backend, cells, config, cache, log) as process:
            assert process.stdout
            for line in process.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
                    done += 1
            code = process.wait()
            log.seek(0)
            last = (log.read().strip().splitlines() or [""])[-1]
        if done < len(cells):
            late = code == -signal.SIGPROF
            what = (
                f"not done after {config.limit:g} s of CPU time"
                if late
                else f"exit code {code}: {last[:300]}"
            )
            yield {"error": what}
        cells = cells[done + 1 :]


def _process(
    backend: str, cells: list[Row], config: GridConfig, cache: str, log: Any
) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        # What JAX computes outside a step it compiles operation by operation; other cells have most of them too.
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {config.xla_flags}",
    }
    words = [sys.executable, "-m", "benchmarks.grid_cell", *map(json.dumps, cells)]
    return subprocess.Popen(words, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)


def table(rows: list[Row], keys: list[Row]) -> str:
    """Returns a Markdown table: a line a model and encoder, a column a backend and precision."""
    columns = list(dict.fromkeys((key["backend"], key["precision"]) for key in keys))
    lines = [
        "| model | encoder | parameters | " + " | ".join(f"{b} {p}" for b, p in columns) + " |",
        "|---|---|---:|" + "---|" * len(columns),
    ]
    for model, encoder in dict.fromkeys((key["model"], key["encoder"]) for key in keys):
        found = {
            (r["backend"], r["precision"]): r for r in rows if (r["model"], r["encoder"]) == (model, encoder)
        }
        parameters = next((f"{r['parameters']:,}" for r in found.values() if "parameters" in r), "")
        cells = [_words(found[column]) if column in found else "not measured" for column in columns]
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
    logits = "noise" if noisy(row) else f"{row['logit_error']:.0e}"
    return f"{logits}, {gradient}, {row['hlo']['train']['convolutions']}{lowered}"


def page(result: dict[str, Any], keys: list[Row]) -> str:
    """Returns the whole Markdown page on the cells of `keys`."""
    wanted = set(map(_name, keys))
    rows = [row for row in result["rows"] if _name(row) in wanted]
    wrong = sum("error" in row or bool(problems(row)) for row in rows)
    first = keys[0]
    return f"""# The grid of models

Every model compiled by XLA, held against TensorFlow without it: {len(rows)} of {len(keys)} cells measured,
{len(rows) - wrong} as they should be, {wrong} not.
Made by `{result["command"]}` ({", ".join(f"{n} {v}" for n, v in result["versions"].items())};
{result["machine"]}), on images of {first["tile_size"]} x {first["tile_size"]} pixels in batches of {first["batch"]};
`plain` has {first["filters"]} filters at its first level. Run again, it measures what is missing.

A cell reads: root mean square difference of logits, error of the gradient, convolutions in the optimised HLO of the
training step, and the platforms that the step was lowered for (not run on). Both are differences to TensorFlow
computing operation by operation from the same weights and images, for the columns of JAX too. In float32 logits may
differ by 5e-5, or as much as they change if half of the weights move to the next number of float32; the error of the
gradient is relative in the L2 norm. In bfloat16 the latter is that to float32, and in brackets that of the uncompiled
bfloat16 step: the gradient of a fresh network is mostly rounding, so the two must be alike, and so must the differences
of their logits to those of float32. Where the uncompiled step in bfloat16 is further than a quarter of the logits' size
from float32, a cell says "noise", and its logits and loss are not judged. Logits are those of the images and of seven
draws of them, changed by noise of 0.003 (`draws` in the JSON), or, in cells that do not say so, of the images alone.
Batch normalisation starts with the statistics of the images. Dropout is off. XLA makes quick machine code
(`{result["xla_flags"]}`), which changes what it fuses, not what it is asked to compute. **Bold** is what is wrong.

{table(rows, keys)}
"""


def _name(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


def _measure_all(keys: list[Row], config: GridConfig, out: Path, result: dict[str, Any]) -> None:
    """Adds to the result, and writes it, cell by cell."""
    lock, begun = threading.Lock(), time.monotonic()

    def job(some: list[Row]) -> None:
        if config.seconds and time.monotonic() - begun > config.seconds:
            return
        for row in measure(some, config, cache):
            with lock:
                result["rows"] = [old for old in result["rows"] if _name(old) != _name(row)] + [row]
                out.write_text(json.dumps(result, indent=1) + "\n")
                print(f"{' '.join(map(str, _name(row)[:4]))}: {_words(row)}", flush=True)

    with tempfile.TemporaryDirectory() as cache, ThreadPoolExecutor(config.workers) as pool:
        list(pool.map(job, jobs(keys)))


def main() -> None:
    """Measures what is missing, and writes."""
    config = config_from_flags(GridConfig)
    start_backend("tensorflow")
    out = Path(config.out)
    result: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"rows": []}
    keys = plan(config)
    if config.limit:
        result |= {
            "command": command_line(),
            "versions": {n: metadata.version(n) for n in ("tensorflow", "keras", "jax", "keras-cv")},
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "xla_flags": config.xla_flags,
        }
        done = {_name(row) for row in result["rows"] if "error" not in row}
        out.parent.mkdir(parents=True, exist_ok=True)
        _measure_all([key for key in keys if _name(key) not in done], config, out, result)
    Path(config.table).write_text(page(result, keys))
    print(f"Written: {config.table}")


if __name__ == "__main__":
    define_flags(GridConfig)
    run(main)
