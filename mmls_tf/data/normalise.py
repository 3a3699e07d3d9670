"""Standardisation by the statistics of the train split, the same numbers in training and everywhere after."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmls_tf.bands import BAND_NAMES
from mmls_tf.errors import DatasetError
from mmls_tf.schema import BandStatistics


@dataclass(frozen=True)
class Normalisation:
    """Which canonical bands a model sees, and the mean and standard deviation of each.

    `bands` are indices into `mmls_tf.bands.BANDS`; `mean` and `std` have one number a band of `bands`.
    """

    bands: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @staticmethod
    def from_statistics(statistics: Sequence[BandStatistics], bands: Sequence[int]) -> Normalisation:
        """Picks the statistics of some bands.

        Raises:
          DatasetError: a band is constant over the train split, so that it tells nothing and has no scale.
        """
        by_name = {band.band: band for band in statistics}
        chosen = [by_name[BAND_NAMES[index]] for index in bands]
        constant = [band.band for band in chosen if not band.std > 0]
        if constant:
            raise DatasetError(
                f"expected bands that vary over the train split, found {', '.join(constant)} constant; "
                "leave such bands out with --bands"
            )
        return Normalisation(
            tuple(bands), tuple(band.mean for band in chosen), tuple(band.std for band in chosen)
        )

    def without(self, missing: Sequence[int]) -> Normalisation:
        """Returns the same for input in which some bands are missing: 0.0, the mean of training, stands for them.

        Args:
          missing: indices into `mmls_tf.bands.BANDS`, all of them among `bands`.
        """
        gone = set(missing)
        std = (math.inf if band in gone else std for band, std in zip(self.bands, self.std, strict=True))
        return dataclasses.replace(self, std=tuple(std))

    def apply(self, image: Any, valid: Any) -> Any:
        """Returns float32 [..., height, width, len(bands)]: zero mean, unit deviation, 0.0 where invalid.

        Args:
          image: float32 [..., height, width, len(bands)], canonical values of these bands; NumPy or TensorFlow.
          valid: float32 [..., height, width], 1.0 where every band has data.
        """
        mean, std = (np.asarray(values, np.float32) for values in (self.mean, self.std))
        return (image - mean) / std * valid[..., None]
