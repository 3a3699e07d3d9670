"""Parts of a split, and per-tile figures: what one pooled number hides."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.errors import RunFolderError
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.counting import TileScore
from mmls_tf.files import write_text
from mmls_tf.schema import TileEntry

_COUNTS = tuple(field.name for field in fields(Confusion))


def per_tile(tiles: Sequence[TileScore]) -> dict[str, dict[str, float | int | None]]:
    """Returns mean and median over tiles of every metric, over those tiles where it is defined, and how many."""
    result: dict[str, dict[str, float | int | None]] = {}
    for name in Confusion().metrics():
        values = [value for tile in tiles if (value := getattr(tile.labelled, name)) is not None]
        result[name] = {
            "mean": statistics.fmean(values) if values else None,
            "median": statistics.median(values) if values else None,
            "tiles": len(values),
        }
    return result


def without_leaks(tiles: Sequence[TileScore], entries: Mapping[str, TileEntry]) -> dict[str, dict[str, Any]]:
    """Returns the pooled scores without tiles that train tiles give away.

    overlapping: those that have pixels in common with a train tile; touching: those that share an edge besides, so
    that a network with context, or a memory for places, has seen what lies beside them.
    """
    kept = {
        "without_overlapping": [tile for tile in tiles if not entries[tile.key].train_overlap],
        "without_touching": [tile for tile in tiles if not entries[tile.key].touches_train],
    }
    return {
        name: {"tiles": len(chosen), **pooled(chosen).metrics(), "pixels": pooled(chosen).pixels}
        for name, chosen in kept.items()
    }


def pooled(tiles: Sequence[TileScore]) -> Confusion:
    """Returns one confusion matrix over all labelled pixels of some tiles."""
    return sum((tile.labelled for tile in tiles), Confusion())


def counts_of(tiles: Sequence[TileScore]) -> npt.NDArray[np.int64]:
    """Returns int64 [tiles, 4]: true positive, false positive, false negative, true negative."""
    return np.array([[asdict(tile.labelled)[name] for name in _COUNTS] for tile in tiles], np.int64).reshape(
        -1, 4
    )


def write_tiles(
    path: Path, tiles: Sequence[TileScore], entries: Mapping[str, TileEntry], groups: Sequence[int]
) -> None:
    """Writes a CSV file with a line a tile: counts, scores, place, spatial block."""
    buffer = io.StringIO()
    rows = csv.writer(buffer, lineterminator="\n")
    rows.writerow(
        [
            "key",
            *_COUNTS,
            "iou_landslide",
            "miou",
            "train_overlap",
            "touches_train",
            "frame",
            "x",
            "y",
            "block",
        ]
    )
    for tile, group in zip(tiles, groups, strict=True):
        entry, scores = entries[tile.key], tile.labelled
        place = entry.place
        rows.writerow(
            [
                tile.key,
                *asdict(scores).values(),
                *("" if value is None else f"{value:.6f}" for value in (scores.iou_landslide, scores.miou)),
                entry.train_overlap,
                int(entry.touches_train),
                *((place.frame, place.x, place.y) if place else ("", "", "")),
                group,
            ]
        )
    write_text(path, buffer.getvalue())


def read_counts(path: Path) -> dict[str, tuple[int, ...]]:
    """Returns the four counts of every tile of an evaluation, by key.

    Raises:
      RunFolderError: the file is not there or is none of `write_tiles`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["key"]: tuple(int(row[name]) for name in _COUNTS) for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise RunFolderError(
            f"{path}: expected the tiles of an evaluation, found {error}; evaluate that run first, with the same flags"
        ) from error
