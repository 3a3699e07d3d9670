"""Whether a probability of 0.7 is right seven times in ten, and the temperature that brings it nearer.

All figures are of the landslide probability of labelled pixels (binary), from a histogram; the two end codes count as
probability 1 / 262140 and one minus that, so a pixel adds at most 12.5 to the sum of the negative log-likelihood.
"""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from mmls_tf.evaluation.histogram import Histogram, code_probabilities

Floats = npt.NDArray[np.float64]
TEMPERATURES = (0.05, 20.0)  # the bounds of the search


class ReliabilityBin(TypedDict):
    """One bar of a reliability diagram: pixels with probabilities in (low, high], the first with 0 as well.

    `probability` is the mean landslide probability of its pixels and `frequency` the share of them that is landslide,
    both None where it has none.
    """

    low: float
    high: float
    pixels: int
    probability: float | None
    frequency: float | None


class Calibration(TypedDict):
    """How far landslide probabilities can be believed; lower is better. None where no pixel is labelled.

    temperature: what the logits were divided by.
    ece: expected calibration error in [0, 1], the sum over bins of pixels / all pixels * |frequency - mean probability|
      (Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al. 2017, "On
      Calibration of Modern Neural Networks", equation 3, with the probability of the positive class in the place of
      the confidence).
    brier: mean squared difference of probability and label (Brier 1950), in [0, 1].
    nll: mean negative log-likelihood in nats.
    bins: equally wide.
    """

    temperature: float
    ece: float | None
    brier: float | None
    nll: float | None
    bins: list[ReliabilityBin]


def calibration(histogram: Histogram, temperature: float = 1.0, bins: int = 15) -> Calibration:
    """Returns the figures, as they go into JSON, after division of the logits by a temperature."""
    pixels = int(histogram.counts.sum())
    probability = apply_temperature(code_probabilities(), temperature)
    landslide = np.array([False, True])[:, None]
    squares = histogram.counts * (probability - landslide) ** 2
    loss = _likelihood_loss(histogram.counts, logit(code_probabilities()) / temperature)
    bars = _reliability(histogram, probability, bins)
    gaps = [
        bar["pixels"] * abs(bar["frequency"] - bar["probability"])
        for bar in bars
        if bar["frequency"] is not None and bar["probability"] is not None
    ]
    return {
        "temperature": temperature,
        "ece": sum(gaps) / pixels if pixels else None,
        "brier": float(squares.sum() / pixels) if pixels else None,
        "nll": loss / pixels if pixels else None,
        "bins": bars,
    }


def apply_temperature(probability: npt.NDArray[np.floating], temperature: float) -> Floats:
    """Returns sigmoid(logit(probability) / temperature), float64 of the same shape.

    Order and the side of one half stay as they are; 0 and 1 too.
    """
    values = np.asarray(probability, np.float64)
    return values if temperature == 1.0 else expit(logit(values) / temperature)


def fit_temperature(histogram: Histogram) -> float:
    """Returns the temperature in [0.05, 20] that minimises the negative log-likelihood (Guo et al. 2017, section 4.2).

    The likelihood is convex in 1 / temperature, so that the minimum is the only one; a bound comes out where classes
    are separated without error (0.05) or probabilities say nothing or the opposite (20).

    Raises:
      DatasetError: there are no pixels of one of the classes.
    """
    histogram.require_both_classes("temperature")
    occurring = histogram.counts.any(axis=0)
    counts, logits = histogram.counts[:, occurring], logit(code_probabilities()[occurring])
    found = minimize_scalar(
        lambda log: _likelihood_loss(counts, logits * math.exp(-log)),
        bounds=tuple(map(math.log, TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(found.x)


def _reliability(histogram: Histogram, probability: Floats, bins: int) -> list[ReliabilityBin]:
    place = np.searchsorted(np.arange(1, bins) / bins, probability, side="left")
    totals = histogram.counts.sum(axis=0)
    pixels = np.bincount(place, totals, bins)
    landslide = np.bincount(place, histogram.landslide, bins)
    sums = np.bincount(place, totals * probability, bins)
    return [
        {
            "low": index / bins,
            "high": (index + 1) / bins,
            "pixels": int(count),
            "probability": float(sums[index] / count) if count else None,
            "frequency": float(landslide[index] / count) if count else None,
        }
        for index, count in enumerate(pixels)
    ]


def _likelihood_loss(counts: npt.NDArray[np.int64], logits: Floats) -> float:
    """Returns the summed loss of background and landslide pixels, counts [2, codes], logits [codes]."""
    return float(counts[0] @ np.logaddexp(0.0, logits) + counts[1] @ np.logaddexp(0.0, -logits))
