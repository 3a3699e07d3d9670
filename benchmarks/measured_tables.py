"""Tables of what benchmarks have measured, from the JSON files that they write: files in, rows of text out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.errors import UsageError
from mmls_tf.sweeping.report import markdown
from mmls_tf.sweeping.spread import number_text, spread, spread_text

Found = Mapping[str, Any]
Rows = list[list[str]]


@dataclass(frozen=True)
class Measured:
    """A table of a page.

    Attributes:
      name: of its markers.
      sources: files in docs/results, without .json.
      rows: from what the files hold, in that order, to the rows of the table, the head first.
    """

    name: str
    sources: tuple[str, ...]
    rows: Callable[..., Rows]

    def text(self, results: Path) -> str:
        """Returns the table in Markdown.

        Raises:
          UsageError: a file is missing, or a figure in it.
        """
        found = [read_result(results, source, self.name) for source in self.sources]
        try:
            return markdown(self.rows(*found))
        except KeyError as error:
            names = ", ".join(f"{source}.json" for source in self.sources)
            raise UsageError(f"{names}: expected {error} for table {self.name}, found none") from error


def read_result(results: Path, source: str, table: str) -> dict[str, Any]:
    """Reads a file of results.

    Raises:
      UsageError: it is missing.
    """
    path = results / f"{source}.json"
    if not path.is_file():
        raise UsageError(f"--results={results}: expected {path.name} for table {table}, found none")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def scene_rows(scene: Found) -> Rows:
    """Rows of docs/results/scene.json, of `benchmarks.scene`."""
    rows = [
        [
            *("scene", "overlap", "megapixels/s", "time / bare forward passes"),
            *("a plain sliding window in PyTorch, megapixels/s", "speed / that", "peak memory"),
        ]
    ]
    for overlap, title in (("0.0", "0"), ("0.5", "0.5, the default")):
        ours, theirs = scene[f"mmls_tf, overlap {overlap}"], scene[f"PyTorch, overlap {overlap}"]
        rows.append(
            [
                scene["scene"],
                title,
                _rounds(ours["megapixels_per_second"], 2),
                _rounds(ours["whole / bare forward passes"], 2),
                _rounds(theirs["megapixels_per_second"], 2),
                _rounds(scene[f"speed of mmls_tf / PyTorch, overlap {overlap}"], 2),
                f"{ours['peak_memory_mb']} MB",
            ]
        )
    large = scene["large scene"]
    height, width = (int(words.split()[0]) for words in large["size"].split(" x "))
    rows.append(
        [
            large["size"],
            "0",
            f"{number_text(height * width / 1e6 / large['seconds'], 2)} (one round)",
            number_text(large["seconds"] / large["bare_seconds"], 2),
            "not measured",
            "not measured",
            f"{large['peak_memory_mb']} MB",
        ]
    )
    return rows


def seam_rows(*splits: Found) -> Rows:
    """Rows of what `benchmarks.seams` wrote of each split."""
    ways = "tile by tile", "seamless"
    rows = [
        ["split", "tiles", "mIoU, tile by tile", "mIoU, map", "jump at borders / inside, tile by tile", "map"]
    ]
    for found in splits:
        scores = (number_text(found[way]["miou"]) for way in ways)
        jumps = (number_text(found[way]["mean_jump"]["ratio"], 2) for way in ways)
        rows.append([found["split"], str(found["tiles"]), *scores, *jumps])
    return rows


def inventory_rows(comparison: Found) -> Rows:
    """Rows of what `mmls_tf.compare` wrote: landslides by size."""
    rows = [["size", "true", "found", "mapped", "right"]]
    for one in (*comparison["by_size"], {**comparison["landslides"], "size": "all"}):
        true, mapped = one["found"] + one["missed"], one["right"] + one["false"]
        rows.append([_size(one), *(str(count) for count in (true, one["found"], mapped, one["right"]))])
    return rows


def evaluation_rows(evaluation: Found) -> Rows:
    """Rows of docs/results/evaluation.json, of `benchmarks.evaluation`."""
    rows = [["loop", "time / bare forward passes (median, range)"]]
    for name, title in (
        ("predict", "reading, normalising, predicting"),
        ("count", "and all that is counted"),
    ):
        low, middle, high = evaluation["ratio_to_bare"][name]
        rows.append([title, f"{number_text(middle, 2)} ({number_text(low, 2)} to {number_text(high, 2)})"])
    return rows


def share_rows(shares: Found) -> Rows:
    """Rows of docs/results/isolated_share.json: what `mmls_tf.predict` says of unlabelled tiles; seeds are one row."""
    groups: dict[tuple[str, int], list[Found]] = {}
    for run in shares["runs"]:
        groups.setdefault((run["name"], run["train_tiles"]), []).append(run)
    rows = [["run", "train tiles", "landslides", "share of the area, %", "n"]]
    for (name, tiles), runs in groups.items():
        share = spread([100 * run["landslide_km2"] / shares["mapped_km2"] for run in runs])
        counts = _range([run["landslides"] for run in runs], 0)
        rows.append([name, str(tiles), counts, spread_text(share, 1), str(len(runs))])
    return rows


def together_rows(together: Found) -> Rows:
    """Rows of docs/results/together*.json: figures of runs alone (one an evaluation) and of their average."""
    columns = together["columns"]
    rows = [["runs", "averaged", *columns]]
    for one in together["rows"]:
        figures = [spread_text(spread(one[column])) if one[column] else "not measured" for column in columns]
        rows.append([one["runs"], one["averaged"], *figures])
    return rows


def training_rows(training: Found) -> Rows:
    """Rows of docs/results/training.json, of `benchmarks.training`."""
    heads = "step alone, tiles/s", "training, tiles/s", "training / step", "waiting for input"
    rows = [["network", "input", *heads, "seconds to the end of the first step"]]
    for name, found in training.items():
        if not isinstance(found, dict):
            continue
        cells = [_rounds(found[figure], 1) for figure in ("step", "training")]
        waited = [100 * share for share in found["input_share"]["rounds"]]
        cells += [_rounds(found["share"], 2), f"{_range(waited, 1)} %", _rounds(found["first_step_s"], 1)]
        rows.append([*name.split(" "), *cells])
    return rows


def builder_rows(builder: Found) -> Rows:
    """Rows of docs/results/builder.json, of `benchmarks.builder`."""
    rows = [["variant", "tiles/s (median)", "seconds", "speed / plain loop, pair by pair", "peak MiB"]]
    for name, found in builder.items():
        if not isinstance(found, dict):
            continue
        speeds = found.get("speed_over_plain", ())
        rows.append(
            [
                name,
                f"{found['tiles_per_second']:.0f}",
                _range(found["seconds"], 2),
                _range(speeds, 2) if speeds else "",
                str(found["peak_mib"]),
            ]
        )
    return rows


def adaptation_rows(adaptation: Found) -> Rows:
    """Rows of docs/results/adaptation.json: runs, named `block: recipe: method`, and what `mmls_tf.adapt` made of them.

    Runs of one name and other seeds are one row.
    """
    groups: dict[str, list[Found]] = {}
    for entry in adaptation["runs"]:
        groups.setdefault(entry["name"], []).append(entry)
    heads = "known of it", "val mIoU", "mIoU there", "precision", "recall", "tiles", "n"
    rows = [["block", "recipe", "method", *heads]]
    for name, entries in groups.items():
        known = entries[0]["adaptation"]["column"] if "adaptation" in entries[0] else "source only"
        there = [entry["evaluations"]["isolated"] for entry in entries]
        scores = [[one[metric] for one in there] for metric in ("miou", "precision", "recall")]
        texts = [
            spread_text(spread(values))
            for values in ([entry["val"]["ema_miou"] for entry in entries], *scores)
        ]
        tiles = _range([one["tiles"] for one in there], 0)
        rows.append([*name.split(": "), known, *texts, tiles, str(len(entries))])
    return rows


def _size(one: Found) -> str:
    if "size" in one:
        return str(one["size"])
    low, high = one["from_km2"], one["below_km2"]
    if high is None:
        return f"{low:g} km2 or more"
    return f"{low:g} to {high:g} km2" if low else f"below {high:g} km2"


def _rounds(found: Found, digits: int) -> str:
    return f"{number_text(found['median'], digits)} ({_range(found['rounds'], digits)})"


def _range(values: Sequence[float], digits: int) -> str:
    low, high = (number_text(end, digits) for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
