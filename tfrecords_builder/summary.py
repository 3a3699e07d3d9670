"""One screen about a finished build, or about the plan of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import Issue
from mmls_tf.schema import SPLITS, Manifest
from tfrecords_builder.shard_job import ShardResult
from tfrecords_builder.statistics import Moments, band_statistics, merge


def build_text(manifest: Manifest, seconds: dict[str, float], buffer_tiles: int, out: str) -> str:
    """Returns the table of splits and the statistics of the train split as text."""
    lines = [
        f"{out}: {manifest.layout} layout, tiles of {manifest.tile_size} x {manifest.tile_size}, "
        f"fingerprint {manifest.fingerprint[:12]}",
        *_dealt(manifest.split_by, buffer_tiles),
        "",
        f"{'split':<10}{'tiles':>7}{'shards':>8}{'MB':>8}{'landslide':>11}{'valid':>9}{'seconds':>9}",
    ]
    for split in manifest.splits:
        share = "unlabelled" if split.foreground_share is None else f"{split.foreground_share:.1%}"
        megabytes = sum(shard.bytes for shard in split.shards) / 1e6
        took = f"{seconds[split.name]:.1f}" if split.name in seconds else ""
        lines.append(
            f"{split.name:<10}{split.tiles:>7}{len(split.shards):>8}{megabytes:>8.1f}{share:>11}"
            f"{split.valid_share:>9.2%}{took:>9}"
        )
    lines += [f"{name:<10}{time:>52.1f}" for name, time in seconds.items() if name not in SPLITS]
    lines += ["", f"{'train band':<17}{'mean':>9}{'std':>9}{'min':>9}{'max':>9}"]
    lines += [
        f"{band.band:<17}{band.mean:>9.4f}{band.std:>9.4f}{band.min:>9.4f}{band.max:>9.4f}"
        for band in manifest.statistics
    ]
    return "\n".join(lines)


def plan_text(results: Sequence[ShardResult], split_by: str, buffer_tiles: int) -> str:
    """Returns what a build would write: tiles, landslide shares, and how far each split's bands are from train's.

    Shifts are differences of means in standard deviations of the train split.
    """
    lines = [
        "dry run: nothing is written",
        *_dealt(split_by, buffer_tiles),
        "",
        f"{'split':<10}{'tiles':>7}{'landslide':>11}" + "".join(f"{name[:8]:>10}" for name in BAND_NAMES),
    ]
    train = _moments(results, "train")
    for split in SPLITS:
        moments = _moments(results, split)
        tiles = [tile for result in results if result.path.startswith(f"{split}/") for tile in result.tiles]
        if moments is None or train is None:
            continue
        pixels = sum(tile.labelled_pixels for tile in tiles)
        share = (
            f"{sum(tile.foreground_pixels or 0 for tile in tiles) / pixels:.1%}" if pixels else "unlabelled"
        )
        base = band_statistics(train)
        shifts = [
            f"{(mean - band.mean) / band.std:>+10.2f}" if band.std else f"{'constant':>10}"
            for mean, band in zip(moments.mean, base, strict=True)
        ]
        lines.append(f"{split:<10}{len(tiles):>7}{share:>11}" + "".join(shifts))
    lines.append("bands: (mean - train's mean) / train's standard deviation")
    return "\n".join(lines)


def skipped_text(issues: Sequence[Issue]) -> str:
    """Returns the list of tiles that were left out."""
    lines = [f"left out: {len({issue.path for issue in issues})} files cannot be used:"]
    return "\n".join(lines + [f"  {issue}" for issue in issues])


def _dealt(split_by: str, buffer_tiles: int) -> list[str]:
    if split_by == "folders":
        return []
    return [f"splits: {split_by}" + (f"; {buffer_tiles} tiles left out as a buffer" if buffer_tiles else "")]


def _moments(results: Sequence[ShardResult], split: str) -> Moments | None:
    found = [tile for result in results if result.path.startswith(f"{split}/") for tile in result.moments]
    return reduce(merge, found) if found else None
