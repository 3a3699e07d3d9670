"""Results of all shards -> manifest."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from importlib import metadata

from mmls_tf import __version__
from mmls_tf.bands import BANDS
from mmls_tf.errors import Issue
from mmls_tf.raster.geotiff import same_crs
from mmls_tf.raster.layouts import Layout
from mmls_tf.raster.places import neighbours, overlaps, place_by_georeference, place_by_name, touching
from mmls_tf.raster.seams import trustworthy
from mmls_tf.schema import SCHEMA_VERSION, SPLITS, Manifest, Place, Skipped, SplitEntry, TileEntry
from tfrecords_builder.config import BuildConfig
from tfrecords_builder.convert import Refused
from tfrecords_builder.shard_job import ShardResult
from tfrecords_builder.statistics import band_statistics, merge


def make_manifest(
    config: BuildConfig,
    layout: Layout,
    results: Sequence[ShardResult],
    skipped: Iterable[Issue],
    command: str,
) -> Manifest:
    """Puts together what the shards have told."""
    tiles = locate([tile for result in results for tile in result.tiles], results, config.tile_size)
    train = [tile for result in results if result.path.startswith("train/") for tile in result.moments]
    crs = sorted(wkt for result in results for wkt in result.crs)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint(tiles),
        layout=layout.name,
        scaling=layout.scaling,
        tile_size=config.tile_size,
        halo=config.halo,
        split_by=config.split_description,
        bands=tuple(dataclasses.asdict(band) for band in BANDS),
        crs_wkt=crs[0] if crs else None,
        splits=tuple(
            entry for split in SPLITS if (entry := _split_entry(split, results, tiles, config.tile_size))
        ),
        statistics=band_statistics(reduce(merge, train)),
        tiles=tuple(sorted(tiles, key=lambda tile: tile.key)),
        skipped=tuple(Skipped(issue.path, issue.expected, issue.found) for issue in skipped),
        versions={
            "mmls_tf": __version__,
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
        },
        command=command,
    )


def fingerprint(tiles: Iterable[TileEntry]) -> str:
    """Returns a hash of the schema, the band table and all records, whatever their order and sharding."""
    lines = [f"{SCHEMA_VERSION} {BANDS}", *sorted(f"{tile.key} {tile.record_sha256}" for tile in tiles)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def locate(tiles: Sequence[TileEntry], results: Sequence[ShardResult], tile_size: int) -> list[TileEntry]:
    """Adds to every tile its place, its neighbours, and how it lies to the train split."""
    rims = {key: rim for result in results for key, rim in result.rims.items()}
    places = tile_places(tiles, tile_size)
    by_name = {key: place for key, place in places.items() if key in rims}
    borne_out = trustworthy(by_name, rims, tile_size)
    places = {key: place for key, place in places.items() if key not in by_name or key in borne_out}
    around, touches = neighbours(places, tile_size), touching(places, tile_size)
    shared: dict[str, float] = {}
    for one, other, share in overlaps(places, tile_size):
        for key, train in ((one, other), (other, one)):
            if train.startswith("train/"):
                shared[key] = max(share, shared.get(key, 0.0))
    return [
        dataclasses.replace(
            tile,
            place=places.get(tile.key),
            neighbours=around.get(tile.key, {}),
            train_overlap=shared.get(tile.key, 0.0),
            touches_train=any(other.startswith("train/") for other in touches.get(tile.key, ())),
        )
        for tile in tiles
    ]


def tile_places(tiles: Iterable[TileEntry], tile_size: int) -> dict[str, Place]:
    """Returns the places that georeferences or, where there are none, names claim."""
    places: dict[str, Place] = {}
    for tile in tiles:
        if tile.geotransform is not None:
            place = place_by_georeference(tile.geotransform)  # type: ignore[arg-type]
        else:
            region = "isolated" if tile.split == "isolated" else "base"
            place = place_by_name(tile.key, region, tile_size)
        if place is not None:
            places[tile.key] = place
    return places


def crs_refusals(results: Sequence[ShardResult], images: Mapping[str, str]) -> list[Refused]:
    """Refuses tiles whose coordinate reference system is not the one that most tiles have.

    Args:
      images: paths of the images by key, for the messages.
    """
    keys: dict[str, list[str]] = {}
    for result in results:
        for wkt, members in result.crs.items():
            keys.setdefault(wkt, []).extend(members)
    if not keys:
        return []
    usual = max(keys, key=lambda wkt: (len(keys[wkt]), wkt))
    refused = []
    for wkt, members in keys.items():
        if not same_crs(wkt, usual):
            expected, found = _difference(usual, wkt)
            issue = f"the coordinate reference system of the other tiles ({expected})"
            refused += [Refused(key, (Issue(images[key], issue, found),)) for key in members]
    return refused


def _difference(one: str, other: str) -> tuple[str, str]:
    """Returns the names of two systems and, of both texts, the part around the first place where they differ."""
    texts = [" ".join(text.split()) for text in (one, other)]
    start = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), 0)
    names = [text.split('"')[1] if '"' in text else "no name" for text in texts]
    parts = [text[max(0, start - 40) : start + 40] for text in texts]
    return f"{names[0]}: ...{parts[0]}...", f"{names[1]}: ...{parts[1]}..."


def _split_entry(
    split: str, results: Sequence[ShardResult], tiles: Sequence[TileEntry], tile_size: int
) -> SplitEntry | None:
    members = [tile for tile in tiles if tile.split == split]
    if not members:
        return None
    labelled = [tile for tile in members if tile.foreground_pixels is not None]
    labelled_pixels = sum(tile.labelled_pixels for tile in labelled)
    foreground = sum(tile.foreground_pixels or 0 for tile in labelled)
    return SplitEntry(
        name=split,
        labelled=bool(labelled),
        tiles=len(members),
        foreground_share=foreground / labelled_pixels if labelled else None,
        valid_share=sum(tile.valid_pixels for tile in members) / (len(members) * tile_size**2),
        shards=tuple(
            result.entry for result in results if result.entry and result.path.startswith(f"{split}/")
        ),
    )
