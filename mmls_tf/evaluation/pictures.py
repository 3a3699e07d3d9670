"""A gallery of predictions: the best, the middle and the worst tiles of a split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation.counting import TileScore, raw_band
from mmls_tf.raster.mars import PIXEL_M
from mmls_tf.schema import UNKNOWN_LABEL

Picture = npt.NDArray[Any]

_PER_GROUP = 2
# Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
_HIT, _FALSE_ALARM, _MISS = (0.0, 0.62, 0.45), (0.9, 0.62, 0.0), (0.8, 0.25, 0.65)
_PICTURES = ("colour", "shade", "truth", "probability", "errors")
_TITLES = ("colour", "hill-shade", "truth", "probability", "errors")


@dataclass(frozen=True)
class Row:
    """One tile of a gallery: which group it stands for, its landslide IoU, its pictures.

    Pictures are uint8 [height, width], `colour` and `errors` [height, width, 3]; in `truth`, 127 is unknown.
    """

    group: str
    key: str
    iou: float
    colour: Picture
    shade: Picture
    truth: Picture
    probability: Picture
    errors: Picture


def write_gallery(
    path: Path,
    scores: Sequence[TileScore],
    predict: Callable[[Collection[str]], Iterable[tuple[Tile, npt.NDArray[np.float32]]]],
    threshold: float,
) -> None:
    """Draws up to six tiles as rows: RGB, hill-shade, truth, probability, errors.

    The same pictures are written one by one into an archive beside it, for pages that put them together themselves.

    Args:
      predict: from keys to these tiles with their landslide probability [height, width].
      threshold: above which a pixel counts as landslide.
    """
    chosen = choose_tiles(scores)
    found = {tile.key: (tile, probability) for tile, probability in predict({tile.key for _, tile in chosen})}
    rows = [
        Row(group, score.key, score.labelled.iou_landslide or 0.0, *_pictures(*found[score.key], threshold))
        for group, score in chosen
    ]
    _write_archive(path.with_suffix(".npz"), rows)
    _draw(path, rows)


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


def read_gallery(path: Path) -> list[Row]:
    """Returns the rows of the gallery whose archive is at `path`."""
    with np.load(path) as archive:
        return [
            Row(str(group), str(key), float(iou), *(archive[name][index] for name in _PICTURES))
            for index, (group, key, iou) in enumerate(
                zip(archive["group"], archive["key"], archive["iou"], strict=True)
            )
        ]


def _pictures(tile: Tile, probability: npt.NDArray[np.float32], threshold: float) -> tuple[Picture, ...]:
    shade = hill_shade(raw_band(tile, "dem"), PIXEL_M)
    pictures = (
        _colour(tile),
        shade,
        np.where(tile.mask == UNKNOWN_LABEL, 0.5, tile.mask == 1),
        probability,
        _errors(shade, probability > threshold, tile.mask),
    )
    return tuple(np.rint(255 * picture).astype(np.uint8) for picture in pictures)


def _write_archive(path: Path, rows: Sequence[Row]) -> None:
    columns = {
        name: np.array([getattr(row, name) for row in rows]) for name in ("group", "key", "iou", *_PICTURES)
    }
    partial = path.with_name(f".{path.stem}.partial.npz")
    np.savez_compressed(partial, **columns)  # type: ignore[arg-type]  # NumPy's own flag is meant
    partial.replace(path)


def _draw(path: Path, rows: Sequence[Row]) -> None:
    from matplotlib.figure import Figure  # no pyplot: no window system, no global state
    from matplotlib.patches import Patch

    figure = Figure(figsize=(11.5, 2.15 * max(1, len(rows)) + 0.6), layout="constrained")
    axes = figure.subplots(max(1, len(rows)), len(_PICTURES), squeeze=False)
    for axis, title in zip(axes[0], _TITLES, strict=True):
        axis.set_title(title, fontsize=10)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for line, row in zip(axes, rows, strict=False):
        label = f"{row.group}\n{row.key.partition('/')[2]}\nIoU {row.iou:.2f}"
        line[0].set_ylabel(label, fontsize=8, rotation=0, ha="right", va="center")
        for axis, name in zip(line, _PICTURES, strict=True):
            colours = "viridis" if name == "probability" else "gray"
            axis.imshow(getattr(row, name), cmap=colours, vmin=0, vmax=255, interpolation="nearest")
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


def _colour(tile: Tile) -> npt.NDArray[np.float32]:
    """Returns R, G, B in [0, 1], each channel stretched alike between the tile's 1st and 99th percentile."""
    rgb = np.stack([raw_band(tile, name) for name in ("red", "green", "blue")], axis=-1)
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
