"""The order of the tf.data stages, with the why of each."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from mmls_tf.bands import BANDS
from mmls_tf.data.augment import drop_bands, random_d4
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.records import parse_record
from mmls_tf.errors import UsageError
from mmls_tf.schema import UNKNOWN_LABEL

CACHE_LIMIT_BYTES = 4 << 30
_READERS = 4
_DROPOUT_SEED = 1 << 40  # apart from the seeds of other augmentations


@dataclass(frozen=True)
class InputConfig:
    """How tiles become batches.

    Attributes:
      band_dropout: probability with which each part of each tile is taken away.
      dropped_together: what a part is: "band", or "group", all bands of one of the groups of `mmls_tf.bands`.
      context: pixels of surroundings on every side of a window as large as a tile.
      context_from: whose images they may come from: "split", the tiles of the same split, or "all".
      windows: "tiles", every window is a tile; "anywhere", it lies across the borders of tiles.
    """

    batch: int
    seed: int = 0
    augment: str = "none"
    band_dropout: float = 0.0
    dropped_together: str = "band"
    context: int = 0
    context_from: str = "split"
    windows: str = "tiles"


def training_batches(dataset: Dataset, normalisation: Normalisation, config: InputConfig) -> tf.data.Dataset:
    """Returns endless batches of the train split.

    Elements are (image float32 [batch, size, size, bands], target float32 [batch, size, size, 2]); channel 0
    of the target is the mask {0, 1, 255}, channel 1 is 1 where every band has data.

    Raises:
      UsageError: a batch is larger than the split.
    """
    split = dataset.labelled_split("train")
    if config.batch > split.tiles:
        raise UsageError(f"--batch={config.batch}: expected at most {split.tiles}, the number of train tiles")
    tiles = _tiles(dataset, "train", normalisation).map(
        lambda tile: (tile["image"], tile["target"]), num_parallel_calls=tf.data.AUTOTUNE
    )
    # Parsed and normalised tiles are kept: from the second epoch on nothing is read. Beyond the limit the
    # shards are read anew every epoch, and the page cache does what it can.
    if sum(shard.bytes for shard in split.shards) <= CACHE_LIMIT_BYTES:
        tiles = tiles.cache()
    # A buffer as large as the split (up to a bound) makes the order uniform; it changes every epoch.
    tiles = tiles.shuffle(min(split.tiles, 4096), seed=config.seed, reshuffle_each_iteration=True)
    # Repeated before batching: remainders flow into the next epoch, so no tile is dropped in the long run.
    batches = tiles.repeat().batch(config.batch, drop_remainder=True)
    # oneDNN has no transposition of bytes and says so on the screen; the loss wants float32 anyway.
    batches = batches.map(lambda image, target: (image, tf.cast(target, tf.float32)))
    return augmented(batches, normalisation, config).prefetch(tf.data.AUTOTUNE)


def augmented(batches: tf.data.Dataset, normalisation: Normalisation, config: InputConfig) -> tf.data.Dataset:
    """Returns the same batches, changed at random as `config` says; the step decides how."""
    if config.augment == "d4":
        # After the cache, or every epoch would see the same turn. The counter makes it a function of the step.
        batches = batches.enumerate().map(
            lambda step, tiles: random_d4(
                tiles[0], tiles[1], tf.stack([tf.cast(config.seed, tf.int64), step])
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if config.band_dropout:
        parts = _parts(normalisation, config.dropped_together)
        batches = batches.enumerate().map(
            lambda step, tiles: (
                drop_bands(
                    tiles[0],
                    tf.stack([tf.cast(config.seed, tf.int64) + _DROPOUT_SEED, step]),
                    config.band_dropout,
                    parts,
                ),
                tiles[1],
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    return batches


def _parts(normalisation: Normalisation, together: str) -> list[list[int]]:
    """Returns the channels that are taken away together."""
    parts: dict[str, list[int]] = {}
    for channel, band in enumerate(normalisation.bands):
        key = BANDS[band].group if together == "group" else BANDS[band].name
        parts.setdefault(key, []).append(channel)
    return list(parts.values())


def evaluation_batches(
    dataset: Dataset, split: str, normalisation: Normalisation, batch: int
) -> tf.data.Dataset:
    """Returns one pass over a split, in record order.

    Elements are {image, target, key}: image and target as in `training_batches`, but the target in uint8.
    The last batch is filled up with empty tiles,
    whose target is unknown and invalid and whose key is empty: shapes stay static and every tile counts once.
    """
    tiles = _tiles(dataset, split, normalisation)
    size = dataset.manifest.tile_size
    empty_target = tf.stack(
        [tf.fill([size, size], tf.constant(UNKNOWN_LABEL, tf.uint8)), tf.zeros([size, size], tf.uint8)],
        axis=-1,
    )
    empty = {
        "image": tf.zeros([size, size, len(normalisation.bands)]),
        "target": empty_target,
        "key": tf.constant(""),
    }
    missing = -dataset.split(split).tiles % batch
    padding = tf.data.Dataset.from_tensors(empty).repeat(missing)
    batches = tiles.concatenate(padding).batch(batch, drop_remainder=True)
    # Declared and enforced: a split that reads short or long is an error, and Keras knows when a pass ends.
    count = -(-dataset.split(split).tiles // batch)
    return batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(tf.data.AUTOTUNE)


def canonical_tiles(dataset: Dataset, split: str) -> tf.data.Dataset:
    """Returns the parsed records of a split, unbatched, as `parse_record` gives them."""
    size = dataset.manifest.tile_size
    files = tf.data.Dataset.from_tensor_slices(dataset.shard_files(split))
    # Several shards are read at a time and taken from in turn: a slow disk is hidden and classes mix, yet the
    # order is the same every time.
    records = files.interleave(
        tf.data.TFRecordDataset,
        cycle_length=_READERS,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records.map(lambda record: parse_record(record, size), num_parallel_calls=tf.data.AUTOTUNE)


def _tiles(dataset: Dataset, split: str, normalisation: Normalisation) -> tf.data.Dataset:
    def prepare(tile: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        chosen = tf.gather(tile["image"], normalisation.bands, axis=-1)
        return {
            "image": normalisation.apply(chosen, tf.cast(tile["valid"], tf.float32)),
            "target": tf.stack([tile["mask"], tile["valid"]], axis=-1),
            "key": tile["key"],
        }

    return canonical_tiles(dataset, split).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
