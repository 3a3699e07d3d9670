"""Landslides as objects: what is found, what is right, how well it is covered, by size, shape and parts.

An object is a connected part of a mask inside one tile (8 neighbours). Of a landslide that reaches beyond its tile
only the part within is seen. In MMLSv2 every part is cut so, all 711 of the 473 published train and val tiles: sizes
and shapes are those of landslides cut by tiles, not of landslides on the map.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mmls_tf.raster.mars import PIXEL_M
from mmls_tf.schema import UNKNOWN_LABEL

# Measured on 280 train tiles of MMLSv2 with 425 parts. Three are specks of fewer than 4 pixels. Of the other 422, 33 %
# have fewer than 750 pixels and 34 % have 4000 or more, 35 % are more than three times as long as broad, and 29 % lie
# in one of the 34 tiles with three parts or more.
MIN_AREA_PX = 4
SMALL_BELOW_PX = 750
LARGE_FROM_PX = 4000
ELONGATED_BELOW = 1 / 3
FRAGMENTED_FROM = 3

STRATA = (
    "all",
    "small",
    "medium",
    "large",
    "elongated",
    "compact",
    "fragmented",
    "unfragmented",
    "cut",
    "inside",
)

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)

Plane = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """The connected parts of a mask, of any size.

    Attributes:
      labels: int32 [height, width], 0 outside of parts, then 1, 2, ... in reading order.
      area: int64 [parts], pixels.
      minor: float64 [parts], pixels: full minor axis of the ellipse with the same second moments.
      major: float64 [parts], pixels: its full major axis.
      cut: bool [parts], whether the part touches the tile's edge.
    """

    labels: npt.NDArray[np.int32]
    area: Integers
    minor: npt.NDArray[np.float64]
    major: npt.NDArray[np.float64]
    cut: Plane


@dataclass(frozen=True)
class StratumCounts:
    """The landslides of one stratum; pixels are those of true landslides, `iou_sum` is over those as well."""

    true: int = 0
    found: int = 0
    iou_sum: float = 0.0
    pixels: int = 0
    pixels_predicted: int = 0
    predicted: int = 0
    right: int = 0

    def __add__(self, other: StratumCounts) -> StratumCounts:
        names = (field.name for field in fields(self))
        return StratumCounts(*(getattr(self, name) + getattr(other, name) for name in names))

    def metrics(self) -> dict[str, Any]:
        """Returns the counts, and object recall and precision, mean IoU and pixel recall (None where undefined)."""
        return {
            "true_landslides": self.true,
            "found": self.found,
            "object_recall": _ratio(self.found, self.true),
            "mean_iou": _ratio(self.iou_sum, self.true),
            "landslide_pixels": self.pixels,
            "pixel_recall": _ratio(self.pixels_predicted, self.pixels),
            "predicted_landslides": self.predicted,
            "right": self.right,
            "object_precision": _ratio(self.right, self.predicted),
        }


@dataclass(frozen=True)
class LandslideCounts:
    """Counts by stratum, in the order of `STRATA`."""

    strata: tuple[StratumCounts, ...] = (StratumCounts(),) * len(STRATA)

    def __add__(self, other: LandslideCounts) -> LandslideCounts:
        pairs = zip(self.strata, other.strata, strict=True)
        return LandslideCounts(tuple(mine + its for mine, its in pairs))

    def metrics(self) -> dict[str, Any]:
        """Returns {stratum: metrics}."""
        return {name: counts.metrics() for name, counts in zip(STRATA, self.strata, strict=True)}


def definitions(pixel_m: float = PIXEL_M) -> dict[str, str]:
    """Returns a sentence on each of `STRATA`, and on what else a reader of the counts has to know.

    Args:
      pixel_m: side of a pixel in metres, where the map is true to scale (at the equator, in the map frame of MMLSv2).
    """

    def area(pixels: int) -> str:
        return f"{pixels} pixels ({pixels * pixel_m**2 / 1e6:.3g} km2)"

    return {
        "landslide": f"a connected part (8 neighbours) of a mask inside one tile, of {area(MIN_AREA_PX)} or more",
        "found": "a true landslide of which at least half of the pixels are predicted",
        "right": "a predicted landslide of which at least half of the labelled pixels are landslide",
        "mean_iou": "mean over true landslides of the IoU with all predicted parts that overlap no other one more",
        "object_recall": "found among true landslides; the stratum is that of the true landslide",
        "object_precision": "right among predicted landslides; the stratum is that of the predicted landslide",
        "all": "every landslide",
        "small": f"fewer than {area(SMALL_BELOW_PX)}",
        "medium": f"from {area(SMALL_BELOW_PX)} to fewer than {area(LARGE_FROM_PX)}",
        "large": f"{area(LARGE_FROM_PX)} or more",
        "elongated": f"minor axis below {ELONGATED_BELOW:.2f} of the major one (ellipse of equal second moments)",
        "compact": f"minor axis {ELONGATED_BELOW:.2f} of the major one or more",
        "fragmented": f"in a tile with {FRAGMENTED_FROM} landslides or more on the same side (true or predicted)",
        "unfragmented": f"in a tile with fewer than {FRAGMENTED_FROM} landslides on the same side",
        "cut": "touches the edge of its tile, so that the landslide may reach beyond it",
        "inside": "does not touch the edge of its tile",
    }


def find_parts(foreground: Plane) -> Parts:
    """Returns the connected parts of foreground [height, width]."""
    labels, number = ndimage.label(foreground, _EIGHT_NEIGHBOURS)
    rows, columns = np.nonzero(labels)
    part = labels[rows, columns] - 1
    area = np.bincount(part, minlength=number)

    def mean(values: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
        return np.bincount(part, values, minlength=number) / area

    down = rows - mean(rows)[part]
    right = columns - mean(columns)[part]
    # The eigenvalues of a covariance matrix of two rows are their mean -/+ the radius of Mohr's circle.
    vertical, horizontal, mixed = mean(down**2), mean(right**2), mean(down * right)
    middle = (vertical + horizontal) / 2
    radius = np.hypot((vertical - horizontal) / 2, mixed)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return Parts(
        labels=labels,
        area=area,
        # Never below zero: only lines have no minor axis, and their means are halves, so that all is exact.
        minor=4 * np.sqrt(middle - radius),
        major=4 * np.sqrt(middle + radius),
        cut=np.isin(np.arange(1, number + 1), border),
    )


def count_landslides(predicted: Plane, mask: npt.NDArray[np.uint8]) -> LandslideCounts:
    """Counts the landslides of one tile that are there, found, predicted and right; see `definitions`.

    Pixels of unknown label are no landslide of the truth. A predicted landslide has the shape it was predicted with,
    but counts by its labelled pixels, and only if these are `MIN_AREA_PX` or more. A predicted part that overlaps two
    true ones alike belongs to the first in reading order.

    Args:
      predicted: bool [height, width]; True is landslide.
      mask: uint8 [height, width], 0 background, 1 landslide, 255 unknown.
    """
    truth, guess = find_parts(mask == 1), find_parts(predicted)
    labelled = _pixels(guess, mask != UNKNOWN_LABEL)
    hit = _pixels(truth, predicted)
    right = 2 * _pixels(guess, mask == 1) >= labelled
    iou = _iou(truth, guess, labelled)
    there, made = truth.area >= MIN_AREA_PX, labelled >= MIN_AREA_PX
    of_truth, of_guess = _members(truth, there), _members(guess, made)
    return LandslideCounts(
        tuple(
            StratumCounts(
                true=int(true.sum()),
                found=int((true & (2 * hit >= truth.area)).sum()),
                iou_sum=float(iou[true].sum()),
                pixels=int(truth.area[true].sum()),
                pixels_predicted=int(hit[true].sum()),
                predicted=int(mine.sum()),
                right=int((mine & right).sum()),
            )
            for true, mine in zip(of_truth, of_guess, strict=True)
        )
    )


def _pixels(parts: Parts, counted: Plane) -> Integers:
    """Returns [parts], how many pixels of each part are among those counted [height, width]."""
    return np.bincount(parts.labels[counted], minlength=len(parts.area) + 1)[1:]


def _members(parts: Parts, counted: Plane) -> list[Plane]:
    """Returns [parts] for each of `STRATA`: whether a part is counted [parts] and belongs to it."""
    small, large = parts.area < SMALL_BELOW_PX, parts.area >= LARGE_FROM_PX
    elongated = parts.minor < ELONGATED_BELOW * parts.major
    fragmented = np.full(len(parts.area), np.count_nonzero(counted) >= FRAGMENTED_FROM)
    families = {
        "all": counted,
        "small": small,
        "medium": ~small & ~large,
        "large": large,
        "elongated": elongated,
        "compact": ~elongated,
        "fragmented": fragmented,
        "unfragmented": ~fragmented,
        "cut": parts.cut,
        "inside": ~parts.cut,
    }
    return [counted & families[name] for name in STRATA]


def _iou(truth: Parts, guess: Parts, labelled: Integers) -> npt.NDArray[np.float64]:
    """Returns [true parts], the IoU with the union of those predicted parts that overlap no other one more.

    Args:
      labelled: [predicted parts], their pixels of known label.
    """
    both = (truth.labels > 0) & (guess.labels > 0)
    codes = guess.labels[both].astype(np.int64) * (len(truth.area) + 1) + truth.labels[both]
    pairs, overlap = np.unique(codes, return_counts=True)
    mine, its = np.divmod(pairs, len(truth.area) + 1)
    order = np.lexsort((its, -overlap, mine))
    _, first = np.unique(mine[order], return_index=True)
    owned = order[first]  # of each predicted part, its pair with the true part that it overlaps most
    owner, size = its[owned] - 1, len(truth.area)
    intersection = np.bincount(owner, overlap[owned], minlength=size)
    union = truth.area + np.bincount(owner, labelled[mine[owned] - 1], minlength=size) - intersection
    return intersection / union


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
