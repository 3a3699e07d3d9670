"""Batches of windows larger than tiles, or off their grid: the tf.data stages of `--context` and `--windows`.

Windows are put together from tiles in memory (`mmls_tf.data.ground`). Which tiles lend their pixels is declared, and
labels never leave their split: those of val, test and isolated tiles are dropped before anything is put together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mmls_tf.data.dataset import Dataset
from mmls_tf.data.ground import Ground, require_memory
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.pipeline import InputConfig, augmented, canonical_tiles
from mmls_tf.errors import UsageError
from mmls_tf.schema import UNKNOWN_LABEL

_WINDOW_SEED = 2 << 40  # apart from the seeds of augmentations


def lenders(dataset: Dataset, split: str, context_from: str) -> tuple[str, ...]:
    """Returns the splits whose images may surround the tiles of `split`, itself first.

    The isolated region takes from itself only, and lends to none.
    """
    if context_from == "split" or split == "isolated":
        return (split,)
    others = (entry.name for entry in dataset.manifest.splits)
    return (split, *(name for name in others if name not in (split, "isolated")))


def load_ground(dataset: Dataset, split: str, normalisation: Normalisation, context_from: str) -> Ground:
    """Reads the tiles of a split, with labels, and those that may surround them, without.

    Raises:
      UsageError: they do not fit in memory.
    """
    splits = lenders(dataset, split, context_from)
    size = dataset.manifest.tile_size
    require_memory(sum(dataset.split(name).tiles for name in splits), size, len(normalisation.bands))
    places = {tile.key: tile.place for tile in dataset.manifest.tiles if tile.place}
    tiles = (tile for name in splits for tile in canonical_tiles(dataset, name).as_numpy_iterator())
    return Ground(tiles, places, normalisation, size, labelled=(split,))


def training_windows(dataset: Dataset, normalisation: Normalisation, config: InputConfig) -> tf.data.Dataset:
    """Returns endless batches of windows over the train tiles.

    Elements are (image float32 [batch, side, side, bands], target float32 [batch, side, side, 2]) with side =
    tile size + 2 context; the target is unknown outside train tiles. An epoch has one window for every train tile,
    centred on it or, with `windows` "anywhere", up to half a tile away from it in either direction.

    Raises:
      UsageError: a batch is larger than the split, or the tiles do not fit in memory.
    """
    tiles = dataset.labelled_split("train").tiles
    if config.batch > tiles:
        raise UsageError(f"--batch={config.batch}: expected at most {tiles}, the number of train tiles")
    ground = load_ground(dataset, "train", normalisation, config.context_from)
    side = ground.size + 2 * config.context

    def batch_of(step: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        windows = [
            ground.window(key, right - config.context, down - config.context, side)
            for key, right, down in draw_windows(ground, tiles, int(step), config)
        ]
        target = [np.stack([window.mask, window.valid], axis=-1) for window in windows]
        return np.stack([window.image for window in windows]), np.stack(target).astype(np.float32)

    def shaped(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, target = tf.numpy_function(batch_of, [step], (tf.float32, tf.float32), stateful=False)
        shape = (config.batch, side, side)
        return tf.ensure_shape(image, (*shape, len(normalisation.bands))), tf.ensure_shape(
            target, (*shape, 2)
        )

    # The step decides what is drawn, so that batches may be made beside one another and a run can go on anywhere.
    steps = tf.data.Dataset.counter()
    batches = steps.map(shaped, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return augmented(batches, normalisation, config).prefetch(tf.data.AUTOTUNE)


def draw_windows(
    ground: Ground, tiles: int, step: int, config: InputConfig
) -> Iterator[tuple[str, int, int]]:
    """Yields (key of a train tile, pixels to the right and down from it) for every window of a step.

    Every tile is drawn once before any is drawn again.
    """
    random = np.random.default_rng([config.seed + _WINDOW_SEED, step])
    reach = ground.size // 2 if config.windows == "anywhere" else 0
    for number in range(step * config.batch, (step + 1) * config.batch):
        epoch, place = divmod(number, tiles)
        index = np.random.default_rng([config.seed, epoch]).permutation(tiles)[place]
        right, down = random.integers(-reach, reach, 2, endpoint=True) if reach else (0, 0)
        yield ground.keys[index], int(right), int(down)


def evaluation_windows(
    dataset: Dataset,
    split: str,
    normalisation: Normalisation,
    batch: int,
    context: int,
    context_from: str,
) -> tf.data.Dataset:
    """Returns one pass over a split, in record order, every tile in the middle of its surroundings.

    Elements are {image, target, key} as of `mmls_tf.data.pipeline.evaluation_batches`, with images and targets of side
    tile size + 2 context. Only the tile itself is labelled: its surroundings are unknown in the target.
    """
    ground = load_ground(dataset, split, normalisation, context_from)
    tiles = dataset.split(split).tiles
    side = ground.size + 2 * context
    inner = slice(context, context + ground.size)
    empty = np.zeros((side, side, 2), np.uint8)
    empty[..., 0] = UNKNOWN_LABEL

    def elements() -> Iterator[dict[str, npt.NDArray[np.generic] | str]]:
        for key in ground.keys[:tiles]:
            window = ground.window(key, -context, -context, side)
            target = empty.copy()
            target[inner, inner] = np.stack([window.mask, window.valid], axis=-1)[inner, inner]
            yield {"image": window.image, "target": target, "key": key}
        for _ in range(
            -tiles % batch
        ):  # the last batch is filled up: shapes stay static, every tile counts once
            yield {"image": np.zeros_like(window.image), "target": empty, "key": ""}

    signature = {
        "image": tf.TensorSpec((side, side, len(normalisation.bands)), tf.float32),
        "target": tf.TensorSpec((side, side, 2), tf.uint8),
        "key": tf.TensorSpec((), tf.string),
    }
    windows = tf.data.Dataset.from_generator(elements, output_signature=signature)
    batches = windows.batch(batch, drop_remainder=True)
    return batches.apply(tf.data.experimental.assert_cardinality(-(-tiles // batch))).prefetch(2)
