"""Another share of landslides than in training: found without labels, and put into the bias of the last layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from mmls_tf.errors import MmlsError
from mmls_tf.evaluation.calibration import apply_temperature, fit_temperature
from mmls_tf.evaluation.histogram import Histogram, code_probabilities
from mmls_tf.prediction.member import Member

_LEAST = 1e-4  # a share of landslides below this, or of background, is nothing that could be estimated
_ITERATIONS = 10_000
_LAST_LAYER = "logits"


class PriorError(MmlsError):
    """The share of landslides of the target cannot be estimated."""


@dataclass(frozen=True)
class PriorShift:
    """What was found.

    Attributes:
      temperature: that val asks for.
      source, target: mean calibrated probability over val, and the estimated share of landslides of the target.
      offset: of the logits of the network, not calibrated ones.
    """

    temperature: float
    source: float
    target: float
    iterations: int
    offset: float


def estimate_shift(val: Histogram, target: npt.NDArray[np.int64]) -> PriorShift:
    """Returns the shift between source and target.

    Calibrated posteriors p(x) of the source become those of the target, up to a factor, by the ratio of priors. The
    target's prior q is the fixed point of expectation and maximisation (Saerens, Latinne and Decaestecker 2002,
    Neural Computation 14(1)):

        q <- mean over x of  q/s p(x) / (q/s p(x) + (1-q)/(1-s) (1-p(x)))

    s is the mean calibrated probability over val, not the share of its labels, so that no shift is found where there is
    none (Alexandari, Kundaje and Shrikumar 2020, arXiv 1901.06852, section 4). With T the temperature, adding
    T (logit q - logit s) to the logits gives the class that the new posteriors give.

    Args:
      val: labelled pixels of the source's val split, by class and probability.
      target: pixels of the target by quantised probability, int64 [65536].

    Raises:
      PriorError: the estimate runs to a share of 0 or 1.
      DatasetError: val has no landslide, or nothing else.
    """
    temperature = fit_temperature(val)
    probability = apply_temperature(code_probabilities(), temperature)
    source = float(np.average(probability, weights=val.counts.sum(axis=0)))
    share, iterations = maximise_likelihood(probability, target, source)
    if not _LEAST < share < 1 - _LEAST:
        raise PriorError(
            f"--method=prior: expected an estimated share of landslides between {_LEAST} and {1 - _LEAST}, found "
            f"{share:.6f} after {iterations} iterations: images in which the run sees one class alone tell no share"
        )
    return PriorShift(
        temperature, source, share, iterations, temperature * float(logit(share) - logit(source))
    )


def maximise_likelihood(
    probability: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], source: float
) -> tuple[float, int]:
    """Returns the prior of the positive class that the algorithm ends at, from `source` on, and its iterations.

    Args:
      probability: posterior of the positive class under the prior `source`, [values].
      counts: how often each occurs, [values].
    """
    share, iteration = source, 0
    for iteration in range(1, _ITERATIONS + 1):  # noqa: B007  # used after the loop
        positive = share / source * probability
        negative = (1 - share) / (1 - source) * (1 - probability)
        before, share = share, float(np.average(positive / (positive + negative), weights=counts))
        if math.isclose(share, before, rel_tol=0.0, abs_tol=1e-9):
            break
    return share, iteration


def shift_logits(member: Member, offset: float) -> None:
    """Adds a number to all logits of a member: to the bias of its last layer, so that nothing else need know of it."""
    bias = member.model.get_layer(_LAST_LAYER).bias
    bias.assign(bias + offset)
