"""The build: sources -> tiles -> records -> shards -> manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from mmls_tf import __version__
from mmls_tf.bands import BANDS
from mmls_tf.errors import InputError, Issue
from mmls_tf.raster.geotiff import same_crs
from mmls_tf.raster.layouts import Layout, layout_named, recognise
from mmls_tf.schema import MANIFEST_NAME, SCHEMA_VERSION, SPLITS, Manifest, ShardEntry, SplitEntry, TileEntry
from tfrecords_builder.config import BuildConfig
from tfrecords_builder.records import encode_record
from tfrecords_builder.shards import ShardPlan, plan_shards, write_shard
from tfrecords_builder.sources import Source, find_sources
from tfrecords_builder.staging import check_target, staged
from tfrecords_builder.statistics import Moments, band_statistics, merge, tile_moments
from tfrecords_builder.tiles import Tile, read_tile

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Converted:
    """One tile on its way to a shard: its entry in the manifest, its record, its moments and its CRS."""

    entry: TileEntry
    record: bytes
    moments: Moments
    crs_wkt: str | None


@dataclass
class _Gathered:
    """What the tiles told on their way past."""

    issues: list[Issue] = field(default_factory=list)
    tiles: list[TileEntry] = field(default_factory=list)
    train: Moments | None = None
    crs_wkt: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def build(config: BuildConfig, command: str) -> tuple[Manifest, dict[str, float]]:
    """Builds the data set that `config` describes; `command` is noted in the manifest.

    Returns:
      The manifest, and the seconds that each split took.

    Raises:
      UsageError: the source or the target folder cannot be used.
      InputError: lists every file that cannot be used; nothing stands at `config.out`.
    """
    src, out = Path(config.src), Path(config.out)
    check_target(out, config.overwrite)
    sources = find_sources(src)
    layout = _choose_layout(config.layout, sources)
    plans = _plan(sources, config)
    with staged(out) as staging:
        gathered = _Gathered()
        shards = _write_all(staging, plans, layout, config, src, gathered)
        if gathered.issues:
            raise InputError(sorted(gathered.issues, key=str), f"Nothing was written to {out}.")
        manifest = _manifest(config, layout, shards, gathered, command)
        (staging / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest, gathered.seconds


def _choose_layout(name: str, sources: Sequence[Source]) -> Layout:
    if name != "auto":
        return layout_named(name)
    issues: list[Issue] = []
    for source in sources:
        try:
            return recognise(source.image)
        except InputError as error:
            issues += error.issues
    raise InputError(issues)


def _plan(sources: Sequence[Source], config: BuildConfig) -> dict[str, list[ShardPlan]]:
    by_split = {split: [source for source in sources if source.split == split] for split in SPLITS}
    return {
        split: plan_shards(members, split, config.tile_size, config.shard_mb)
        for split, members in by_split.items()
        if members
    }


def _write_all(
    staging: Path,
    plans: dict[str, list[ShardPlan]],
    layout: Layout,
    config: BuildConfig,
    src: Path,
    gathered: _Gathered,
) -> dict[str, list[ShardEntry]]:
    shards: dict[str, list[ShardEntry]] = {}
    total = sum(len(plan.sources) for split in plans.values() for plan in split)
    interval = 0.1 if sys.stderr.isatty() else 10.0  # a log file needs no animation
    with (
        ThreadPoolExecutor(config.threads) as pool,
        tqdm(total=total, unit="tile", mininterval=interval) as bar,
    ):
        for split, split_plans in plans.items():
            started = time.perf_counter()
            bar.set_description(split, refresh=False)
            shards[split] = []
            for plan in split_plans:
                converted = map_ahead(
                    pool,
                    lambda source: _convert(source, layout, config.tile_size, src),
                    plan.sources,
                    config.threads,
                )
                shards[split].append(
                    write_shard(staging, plan.path, _records(converted, split, gathered, bar))
                )
            gathered.seconds[split] = time.perf_counter() - started
    return shards


def _convert(source: Source, layout: Layout, tile_size: int, src: Path) -> Converted | InputError:
    """Runs in a worker thread: everything about a tile that needs no other tile."""
    try:
        tile = read_tile(source, layout, tile_size)
    except InputError as error:
        return error
    record = encode_record(tile)
    entry = _tile_entry(tile, source, src, record)
    return Converted(entry, record, tile_moments(tile.image, tile.valid), tile.crs_wkt)


def _tile_entry(tile: Tile, source: Source, src: Path, record: bytes) -> TileEntry:
    return TileEntry(
        key=tile.key,
        split=source.split,
        image=source.image.relative_to(src).as_posix(),
        image_sha256=tile.image_sha256,
        mask=None if source.mask is None else source.mask.relative_to(src).as_posix(),
        mask_sha256=tile.mask_sha256,
        record_sha256=hashlib.sha256(record).hexdigest(),
        foreground_pixels=None if tile.mask is None else int((tile.mask == 1).sum()),
        labelled_pixels=0 if tile.mask is None else tile.mask.size,
        valid_pixels=int(tile.valid.sum()),
        geotransform=tile.geotransform,
    )


def _records(
    converted: Iterable[Converted | InputError], split: str, gathered: _Gathered, bar: tqdm
) -> Iterator[bytes]:
    """Passes records on, notes what the manifest needs, and goes on after bad input to find all of it."""
    for item in converted:
        bar.update()
        if isinstance(item, InputError):
            gathered.issues += item.issues
            continue
        gathered.tiles.append(item.entry)
        if split == "train":
            gathered.train = merge(gathered.train, item.moments) if gathered.train else item.moments
        _check_crs(item, gathered)
        if not gathered.issues:
            yield item.record


def _check_crs(item: Converted, gathered: _Gathered) -> None:
    if item.crs_wkt is None:
        return
    if gathered.crs_wkt is None:
        gathered.crs_wkt = item.crs_wkt
    elif not same_crs(item.crs_wkt, gathered.crs_wkt):
        expected = f"the coordinate reference system of the other tiles ({gathered.crs_wkt[:60]}...)"
        gathered.issues.append(Issue(item.entry.image, expected, f"{item.crs_wkt[:60]}..."))


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> Iterator[Result]:
    """Maps in order, with at most a few results waiting, so that memory does not grow with the data set."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > 2 * threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _manifest(
    config: BuildConfig,
    layout: Layout,
    shards: dict[str, list[ShardEntry]],
    gathered: _Gathered,
    command: str,
) -> Manifest:
    assert gathered.train is not None  # find_sources insists on train tiles
    return Manifest(
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint(gathered.tiles),
        layout=layout.name,
        tile_size=config.tile_size,
        bands=tuple(dataclasses.asdict(band) for band in BANDS),
        crs_wkt=gathered.crs_wkt,
        splits=tuple(
            _split_entry(split, shards[split], gathered.tiles, config.tile_size) for split in shards
        ),
        statistics=band_statistics(gathered.train),
        tiles=tuple(sorted(gathered.tiles, key=lambda tile: tile.key)),
        versions={
            "mmls_tf": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("numpy", "tensorflow")},
        },
        command=command,
    )


def fingerprint(tiles: Iterable[TileEntry]) -> str:
    """Returns a hash of the schema, the band table and all records, whatever their order and sharding."""
    lines = [f"{SCHEMA_VERSION} {BANDS}", *sorted(f"{tile.key} {tile.record_sha256}" for tile in tiles)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _split_entry(
    split: str, shards: Sequence[ShardEntry], tiles: Iterable[TileEntry], tile_size: int
) -> SplitEntry:
    members = [tile for tile in tiles if tile.split == split]
    labelled = [tile for tile in members if tile.foreground_pixels is not None]
    labelled_pixels = sum(tile.labelled_pixels for tile in labelled)
    foreground = sum(tile.foreground_pixels or 0 for tile in labelled)
    return SplitEntry(
        name=split,
        labelled=bool(labelled),
        tiles=len(members),
        foreground_share=foreground / labelled_pixels if labelled else None,
        valid_share=sum(tile.valid_pixels for tile in members) / (len(members) * tile_size**2),
        shards=tuple(shards),
    )
