"""A gallery of predictions: the best, the middle and the worst tiles of a split."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.pipeline import canonical_tiles
from mmls_tf.evaluation.scoring import SplitScore, TileScore, predict_logits
from mmls_tf.raster.mars import PIXEL_M

_PER_GROUP = 2
# Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
_HIT, _FALSE_ALARM, _MISS = (0.0, 0.62, 0.45), (0.9, 0.62, 0.0), (0.8, 0.25, 0.65)


def write_gallery(
    path: Path,
    model: keras.Model,
    dataset: Dataset,
    split: str,
    batches: Iterable[dict[str, Any]],
    score: SplitScore,
) -> None:
    """Draws up to six tiles as rows: RGB, hill-shade, truth, probability, errors.

    Args:
      batches: as they were scored.
    """
    chosen = choose_tiles(score.tiles)
    tiles = _tiles_by_key(dataset, split, {tile.key for _, tile in chosen})
    probabilities = _probabilities(model, tiles.keys(), batches, dataset.manifest.tile_size)
    rows = [
        (f"{group}\n{tile.key.partition('/')[2]}\nIoU {tile.labelled.iou_landslide:.2f}", tiles[tile.key])
        for group, tile in chosen
    ]
    _draw(path, rows, [probabilities[tile.key] for _, tile in chosen])


def choose_tiles(tiles: Sequence[TileScore]) -> list[tuple[str, TileScore]]:
    """Returns the best, middle and worst tiles by landslide IoU, of those where it is defined, each once."""
    ranked = [tile for tile in tiles if tile.labelled.iou_landslide is not None]
    ranked.sort(key=lambda tile: (-(tile.labelled.iou_landslide or 0.0), tile.key))
    middle = max(0, (len(ranked) - _PER_GROUP) // 2)
    groups = {
        "best": range(_PER_GROUP),
        "middle": range(middle, middle + _PER_GROUP),
        "worst": range(len(ranked) - _PER_GROUP, len(ranked)),
    }
    taken: set[int] = set()
    chosen = []
    for group, places in groups.items():
        for place in places:
            if 0 <= place < len(ranked) and place not in taken:
                taken.add(place)
                chosen.append((group, ranked[place]))
    return chosen


def hill_shade(elevation_m: npt.NDArray[np.floating], pixel_m: float) -> npt.NDArray[np.float64]:
    """Returns the shading in [0, 1] of elevation [height, width] in metres, light from the north-west at 45 degrees.

    Lambert's cosine of the angle between light and surface normal, with the relief doubled.
    """
    south, east = np.gradient(2.0 * elevation_m.astype(np.float64), pixel_m)
    normal_z = 1.0 / np.sqrt(1.0 + east**2 + south**2)
    # As (east, north, up) the normal is (-east, south, 1) and the light comes from (-1/2, 1/2, sqrt(1/2)).
    return np.clip((0.5 * east + 0.5 * south + np.sqrt(0.5)) * normal_z, 0.0, 1.0)


def _tiles_by_key(dataset: Dataset, split: str, keys: set[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for tile in canonical_tiles(dataset, split).as_numpy_iterator():
        if tile["key"].decode() in keys:
            found[tile["key"].decode()] = tile
        if len(found) == len(keys):
            break
    return found


def _probabilities(
    model: keras.Model, keys: Collection[str], batches: Iterable[dict[str, Any]], size: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Returns [size, size], the middle of what the model says of each of some tiles."""
    result = {}
    for batch in batches:
        wanted = {key.decode(): place for place, key in enumerate(batch["key"]) if key.decode() in keys}
        if wanted:
            logits = predict_logits(model, batch["image"]).astype(np.float64)
            margin = (logits.shape[1] - size) // 2
            inner = slice(margin, margin + size)
            for key, place in wanted.items():
                result[key] = 1.0 / (1.0 + np.exp(-logits[place, inner, inner]))
    return result


def _draw(path: Path, rows: Sequence[tuple[str, dict[str, Any]]], probabilities: Sequence[Any]) -> None:
    from matplotlib.figure import Figure  # no pyplot: no window system, no global state
    from matplotlib.patches import Patch

    figure = Figure(figsize=(11.5, 2.15 * max(1, len(rows)) + 0.6), layout="constrained")
    axes = figure.subplots(max(1, len(rows)), 5, squeeze=False)
    titles = ("colour", "hill-shade", "truth", "probability", "errors")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for line, (label, tile), probability in zip(axes, rows, probabilities, strict=False):
        line[0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center")
        shade = hill_shade(_raw(tile["image"], "dem"), PIXEL_M)
        line[0].imshow(_colour(tile["image"]))
        line[1].imshow(shade, cmap="gray", vmin=0, vmax=1)
        line[2].imshow(tile["mask"] == 1, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        line[3].imshow(probability, cmap="viridis", vmin=0, vmax=1)
        line[4].imshow(_errors(shade, probability > 0.5, tile["mask"]), interpolation="nearest")
    legend = {"hit": _HIT, "false alarm": _FALSE_ALARM, "miss": _MISS}
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in legend.items()],
        loc="outside lower right",
        ncols=len(legend),
        frameon=False,
        fontsize=9,
    )
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, dpi=100)
    partial.replace(path)


def _raw(image: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    index = BAND_NAMES.index(name)
    return image[..., index] * BANDS[index].scale + BANDS[index].offset


def _colour(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns R, G, B in [0, 1], each channel stretched alike between the tile's 1st and 99th percentile."""
    rgb = np.stack([_raw(image, name) for name in ("red", "green", "blue")], axis=-1)
    low, high = np.percentile(rgb, (1, 99))
    return np.clip((rgb - low) / max(high - low, 1.0), 0.0, 1.0)


def _errors(shade: Any, predicted: Any, mask: Any) -> npt.NDArray[np.float64]:
    picture = np.repeat(0.35 + 0.5 * shade[..., None], 3, axis=-1)
    for where, colour in (
        (predicted & (mask == 1), _HIT),
        (predicted & (mask == 0), _FALSE_ALARM),
        (~predicted & (mask == 1), _MISS),
    ):
        picture[where] = 0.35 * picture[where] + 0.65 * np.asarray(colour)
    return picture
