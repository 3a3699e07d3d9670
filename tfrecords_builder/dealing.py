"""Deals the sources found in folders to splits, and finds the places that this needs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from mmls_tf.errors import UsageError
from mmls_tf.raster.placement import read_geotransform
from mmls_tf.raster.places import place_by_georeference, place_by_name
from mmls_tf.schema import Place
from tfrecords_builder.config import BuildConfig
from tfrecords_builder.sources import Source
from tfrecords_builder.splits import Deal, deal_by_blocks, deal_randomly, parse_shares


def deal(sources: Sequence[Source], config: BuildConfig) -> tuple[list[Source], int]:
    """Returns the sources with their final splits, and how many were left out as a buffer.

    Raises:
      UsageError: the shares name a split whose folder has no masks, or tiles have no place.
    """
    if config.split_by == "folders":
        return list(sources), 0
    shares = parse_shares(config.shares)
    unlabelled = {source.split for source in sources if source.mask is None}
    taken = sorted(unlabelled & shares.keys())
    if taken:
        raise UsageError(
            f"--shares={config.shares}: expected splits other than {', '.join(taken)}, whose folders have no masks "
            "and stay as they are"
        )
    pool = _with_own_stems([source for source in sources if source.split not in unlabelled])
    plan = _plan(pool, shares, config)
    dealt = [
        dataclasses.replace(source, split=plan.splits[key])
        for key, source in pool.items()
        if key in plan.splits
    ]
    rest = [source for source in sources if source.split in unlabelled]
    return sorted([*dealt, *rest], key=lambda source: source.key), len(plan.buffer)


def _plan(pool: dict[str, Source], shares: dict[str, float], config: BuildConfig) -> Deal:
    if config.split_by == "random":
        return deal_randomly(list(pool), shares, config.split_seed)
    found = source_places(list(pool.values()), config)
    places = {key: found[source.key] for key, source in pool.items() if source.key in found}
    lost = sorted(pool.keys() - places.keys())
    if lost:
        raise UsageError(
            f"--split_by=blocks: expected a georeference or a name such as col00042_row00007 for every tile, found "
            f"neither for {len(lost)}, such as {lost[0]}"
        )
    sizes = {place.pixel_m for place in places.values()}
    if config.buffer_km and None in sizes:
        raise UsageError(
            f"--buffer_km={config.buffer_km}: expected tiles with a georeference, found none that says how large "
            "a pixel is; use --buffer_tiles"
        )
    by_distance = max((1000 * config.buffer_km / size for size in sizes if size), default=0.0)
    buffer_px = max(config.buffer_tiles * config.tile_size, by_distance)
    return deal_by_blocks(places, shares, config.tile_size, buffer_px, config.split_seed)


def source_places(sources: Sequence[Source], config: BuildConfig) -> dict[str, Place]:
    """Reads the places of tiles from their files' headers or, where there is none, from their names, by key."""
    places: dict[str, Place] = {}
    for source in sources:
        geotransform = read_geotransform(source.image, config.drivers)
        if geotransform is not None:
            place = place_by_georeference(geotransform)
        else:
            region = "isolated" if source.split == "isolated" else "base"
            place = place_by_name(source.stem, region, config.tile_size)
        if place is not None:
            places[source.key] = place
    return places


def _with_own_stems(sources: Sequence[Source]) -> dict[str, Source]:
    """Returns sources by stem; stems that several folders share get the folder's name in front."""
    seen = Counter(source.stem for source in sources)
    renamed = [
        dataclasses.replace(source, stem=f"{source.split}-{source.stem}") if seen[source.stem] > 1 else source
        for source in sources
    ]
    return {source.stem: source for source in renamed}
