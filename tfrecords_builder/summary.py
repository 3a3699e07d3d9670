"""One screen about a finished build."""

from __future__ import annotations

from mmls_tf.schema import Manifest


def summary(manifest: Manifest, seconds: dict[str, float], out: str) -> str:
    """Returns the table of splits and the statistics of the train split as text."""
    lines = [
        f"{out}: {manifest.layout} layout, tiles of {manifest.tile_size} x {manifest.tile_size}, "
        f"fingerprint {manifest.fingerprint[:12]}",
        "",
        f"{'split':<10}{'tiles':>7}{'shards':>8}{'MB':>8}{'landslide':>11}{'valid':>9}{'seconds':>9}",
    ]
    for split in manifest.splits:
        share = "unlabelled" if split.foreground_share is None else f"{split.foreground_share:.1%}"
        megabytes = sum(shard.bytes for shard in split.shards) / 1e6
        lines.append(
            f"{split.name:<10}{split.tiles:>7}{len(split.shards):>8}{megabytes:>8.1f}{share:>11}"
            f"{split.valid_share:>9.2%}{seconds[split.name]:>9.1f}"
        )
    lines += ["", f"{'train band':<17}{'mean':>9}{'std':>9}{'min':>9}{'max':>9}"]
    lines += [
        f"{band.band:<17}{band.mean:>9.4f}{band.std:>9.4f}{band.min:>9.4f}{band.max:>9.4f}"
        for band in manifest.statistics
    ]
    return "\n".join(lines)
