"""One shard from sources to a finished file and a note of what is in it: the unit of work of every runner.

A job depends on nothing but its own plan, so shards can be written by threads, by other processes or machines, or
in a later attempt, always with the same bytes.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mmls_tf.schema import ShardEntry, TileEntry
from tfrecords_builder.convert import Converted, ReadOptions, Refused, convert
from tfrecords_builder.shards import ShardPlan, flush_shard, write_shard
from tfrecords_builder.statistics import Moments
from tfrecords_builder.surroundings import Surroundings

Item = TypeVar("Item")
Result = TypeVar("Result")
_JOURNAL = "journal"


@dataclass
class ShardResult:
    """What a finished shard tells the manifest.

    Attributes:
      entry: None where tiles were only checked.
      moments: of every tile, in order: merged a tile at a time, they give the same to the last bit however the tiles
        are cut into shards.
      crs: keys of tiles by the WKT of their coordinate reference system.
      rims: as in `Converted`, by key.
      refused: tiles that cannot be used; the shard is unfinished if there are any.
    """

    path: str
    entry: ShardEntry | None = None
    tiles: list[TileEntry] = field(default_factory=list)
    moments: list[Moments] = field(default_factory=list)
    crs: dict[str, list[str]] = field(default_factory=dict)
    rims: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


def write_shard_job(
    plan: ShardPlan,
    options: ReadOptions,
    surroundings: Surroundings | None,
    staging: Path | None,
    pool: Executor,
    ahead: int,
    on_tile: Callable[[], object] = lambda: None,
) -> tuple[ShardResult, Future[None]]:
    """Reads the tiles of a shard, in order, and writes it.

    Returns:
      The result, and a future that is done when the shard is on the disk and noted in the journal: that goes on in
      the pool while the next shard is read.

    Args:
      staging: folder of the unfinished data set; None checks tiles without writing.
      pool, ahead: where tiles are read, and how many may wait.
    """
    result = ShardResult(plan.path)
    tiles = map_ahead(pool, lambda source: convert(source, options, surroundings), plan.sources, ahead)
    records = _note(tiles, result, len(plan.sources), on_tile)
    if staging is None:
        deque(records, maxlen=0)
        return result, pool.submit(lambda: None)
    result.entry = write_shard(staging, plan.path, records)
    return result, pool.submit(_seal, staging, result)


def _seal(staging: Path, result: ShardResult) -> None:
    flush_shard(staging, result.path)
    if not result.refused:
        write_journal(staging, result)


def _note(
    tiles: Iterable[Converted | Refused], result: ShardResult, count: int, on_tile: Callable[[], object]
) -> Iterator[bytes]:
    shelf: npt.NDArray[np.float32] | None = None
    for number, tile in enumerate(tiles):
        on_tile()
        if isinstance(tile, Refused):
            result.refused.append(tile)
            continue
        result.tiles.append(tile.entry)
        result.moments.append(tile.moments)
        if tile.crs_wkt is not None:
            result.crs.setdefault(tile.crs_wkt, []).append(tile.entry.key)
        if tile.rims is not None:
            if shelf is None:  # one piece of memory for all: see `tfrecords_builder.statistics.Moments`
                shelf = np.empty((count, *tile.rims.shape), np.float32)
            shelf[number] = tile.rims
            result.rims[tile.entry.key] = shelf[number]
        yield tile.record


def map_ahead(
    pool: Executor, function: Callable[[Item], Result], items: Sequence[Item], ahead: int
) -> Iterator[Result]:
    """Maps in order, with at most `ahead` results waiting, so that memory does not grow with the data set."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def write_journal(staging: Path, result: ShardResult) -> None:
    """Notes a finished shard, whole or not at all: what is noted need not be done again."""
    assert result.entry is not None
    path = _journal_path(staging, result.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(_to_plain(result)), encoding="utf-8")
    partial.replace(path)


def read_journal(staging: Path, path: str) -> ShardResult | None:
    """Returns the note of a finished shard whose file is as noted; None where it has to be written (again)."""
    journal, file = _journal_path(staging, path), staging / path
    if not journal.is_file() or not file.is_file():
        return None
    result = _from_plain(json.loads(journal.read_text(encoding="utf-8")))
    assert result.entry is not None
    return result if file.stat().st_size == result.entry.bytes else None


def journal_folder(staging: Path) -> Path:
    """Returns the folder of all notes, which is no part of the finished data set."""
    return staging / _JOURNAL


def _journal_path(staging: Path, path: str) -> Path:
    return journal_folder(staging) / (Path(path).name + ".json")


def _to_plain(result: ShardResult) -> dict[str, Any]:
    return {
        "path": result.path,
        "entry": vars(result.entry) if result.entry else None,
        "tiles": [vars(tile) for tile in result.tiles],
        # JSON's numbers lose nothing here: a resumed build has the same manifest to the last bit.
        "moments": [list(vars(tile).values()) for tile in result.moments],
        "crs": result.crs,
        "rims": {key: base64.b64encode(rims.tobytes()).decode() for key, rims in result.rims.items()},
    }


def _from_plain(fields: dict[str, Any]) -> ShardResult:
    return ShardResult(
        path=fields["path"],
        entry=ShardEntry(**fields["entry"]),
        tiles=[
            TileEntry(**{**tile, "geotransform": tile["geotransform"] and tuple(tile["geotransform"])})
            for tile in fields["tiles"]
        ],
        moments=[Moments(pixels, *map(tuple, of_bands)) for pixels, *of_bands in fields["moments"]],
        crs=fields["crs"],
        rims={
            key: np.frombuffer(base64.b64decode(text), np.float32).reshape(4, 2, -1)
            for key, text in fields["rims"].items()
        },
    )
