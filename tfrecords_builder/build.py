"""The build: sources -> splits -> shards of checked records -> manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mmls_tf import __version__
from mmls_tf.errors import InputError, Issue, UsageError
from mmls_tf.raster.foreign import driver_names
from mmls_tf.raster.layouts import Layout
from mmls_tf.raster.recognition import choose_layout
from mmls_tf.schema import MANIFEST_NAME, SCHEMA_VERSION, SPLITS, Manifest
from tfrecords_builder.assemble import crs_refusals, make_manifest
from tfrecords_builder.config import BuildConfig
from tfrecords_builder.convert import ReadOptions
from tfrecords_builder.dealing import deal, source_places
from tfrecords_builder.runners import Work, run_beam, run_local
from tfrecords_builder.shard_job import ShardResult
from tfrecords_builder.shards import plan_shards
from tfrecords_builder.sources import Source, find_sources
from tfrecords_builder.staging import check_target, staged
from tfrecords_builder.surroundings import Surroundings, find_lenders


@dataclass(frozen=True)
class Build:
    """What a build gives: the manifest, the seconds of each split, and the tiles left out between blocks."""

    manifest: Manifest
    seconds: dict[str, float]
    buffer_tiles: int


@dataclass(frozen=True)
class Prepared:
    """What there is to build: sources with their splits, their layout, and what is wrong already."""

    sources: list[Source]
    layout: Layout
    issues: list[Issue]
    buffer_tiles: int


class _BadTilesError(InputError):
    """Tiles that turned out bad while they were read; what is left may still be built."""

    def __init__(self, issues: Sequence[Issue], left: Sequence[Source], advice: str) -> None:
        super().__init__(issues, advice)
        self.left = list(left)


def build(config: BuildConfig, command: str) -> Build:
    """Builds the data set that `config` describes; `command` is noted in the manifest.

    Raises:
      UsageError: the source or the target folder cannot be used.
      InputError: lists every file that cannot be used; nothing stands at `config.out`.
    """
    check_target(Path(config.out), config.overwrite)
    prepared = prepare(config)
    while True:
        try:
            return _attempt(prepared, config, command)
        except _BadTilesError as bad:
            if config.on_error == "fail":
                raise
            # Planned again without the bad tiles: the shards are those of a folder that never had them.
            prepared = dataclasses.replace(prepared, sources=bad.left, issues=list(bad.issues))
            if not any(source.split == "train" for source in prepared.sources):
                raise


def prepare(config: BuildConfig) -> Prepared:
    """Finds the tiles, deals them to splits and tells their layout, without reading a pixel.

    Raises:
      UsageError: the source folder cannot be used.
      InputError: no image is of a known layout.
    """
    src = Path(config.src)
    found, issues = find_sources(src, config.drivers)
    try:
        images = [source.image for source in found]
        layout, odd = choose_layout(config.layout, images, config.tile_size, driver_names(config.drivers))
    except InputError as error:
        raise InputError([*issues, *error.issues]) from error
    issues = [*issues, *odd]
    wrong = {issue.path for issue in odd}
    sources, buffer_tiles = deal([source for source in found if str(source.image) not in wrong], config)
    if not any(source.split == "train" for source in sources):
        raise InputError(issues) if issues else UsageError(f"--src={src}: expected train tiles, found none")
    return Prepared(sources, layout, issues, buffer_tiles)


def check_only(prepared: Prepared, config: BuildConfig) -> tuple[list[ShardResult], list[Issue]]:
    """Reads and checks all tiles without writing; returns what they told and everything that is wrong."""
    work = _work(prepared, config, None)
    results, _ = run_local(work)
    return results, prepared.issues + _refusals(prepared.sources, results)[1]


def _attempt(prepared: Prepared, config: BuildConfig, command: str) -> Build:
    advice = f"Nothing was written to {config.out}."
    if prepared.issues and config.on_error == "fail":
        raise _BadTilesError(_in_order(check_only(prepared, config)[1]), prepared.sources, advice)
    work = _work(prepared, config, None)
    with staged(Path(config.out), _digest(work, config)) as staging:
        work = dataclasses.replace(work, staging=staging)
        results, seconds = run_beam(work, config.beam_args) if config.runner == "beam" else run_local(work)
        left, found = _refusals(prepared.sources, results)
        if found:
            raise _BadTilesError(_in_order(prepared.issues + found), left, advice)
        manifest = make_manifest(config, prepared.layout, results, _in_order(prepared.issues), command)
        (staging / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return Build(manifest, seconds, prepared.buffer_tiles)


def _work(prepared: Prepared, config: BuildConfig, staging: Path | None) -> Work:
    options = ReadOptions(
        src=config.src,
        layout=prepared.layout.name,
        tile_size=config.tile_size,
        drivers=config.drivers,
        check_order=config.check_order,
        halo=config.halo,
    )
    by_split = {split: [source for source in prepared.sources if source.split == split] for split in SPLITS}
    plans = tuple(
        plan
        for split, members in by_split.items()
        if members
        for plan in plan_shards(members, split, config.tile_size, config.shard_mb, config.halo)
    )
    return Work(plans, options, _surroundings(prepared.sources, config), staging, config.threads)


def _surroundings(sources: Sequence[Source], config: BuildConfig) -> Surroundings | None:
    if not config.halo:
        return None
    places = source_places(sources, config)
    unsure = [source for source in sources if not getattr(places.get(source.key), "pixel_m", None)]
    if unsure:
        raise UsageError(
            f"--halo={config.halo}: expected a georeference in every image, found none in {len(unsure)}, such as "
            f"{unsure[0].image}; names alone do not say for sure which tiles abut"
        )
    return find_lenders(sources, places, config.tile_size, config.halo, config.halo_from == "split")


def _refusals(sources: Sequence[Source], results: Sequence[ShardResult]) -> tuple[list[Source], list[Issue]]:
    """Returns the sources that are left, and what is wrong with the others."""
    refused = [tile for result in results for tile in result.refused]
    refused += crs_refusals(results, {source.key: str(source.image) for source in sources})
    keys = {tile.key for tile in refused}
    issues = [issue for tile in refused for issue in tile.issues]
    return [source for source in sources if source.key not in keys], issues


def _in_order(issues: Sequence[Issue]) -> list[Issue]:
    return sorted(issues, key=str)


def _digest(work: Work, config: BuildConfig) -> str:
    """Returns a hash of everything that decides what the shards hold: a resumed build must have the same."""
    files = []
    for plan in work.plans:
        for source in plan.sources:
            paths = [source.image, *([source.mask] if source.mask else [])]
            stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
            files.append((plan.path, source.key, stats))
    whole = (__version__, SCHEMA_VERSION, asdict(work.options), config.halo_from, files)
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()
