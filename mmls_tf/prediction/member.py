"""A trained run that is ready to predict, alone or as one of an ensemble."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mmls_tf.bands import BAND_NAMES, BANDS
from mmls_tf.config import chosen_weights
from mmls_tf.data.dataset import Dataset
from mmls_tf.data.known_mask import CHANNEL, show_nothing
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.prediction.missing import parse_missing
from mmls_tf.prediction.symmetry import mean_over
from mmls_tf.training.device import choose_jit, find_device
from mmls_tf.training.run_folder import RunFolder, RunRecord


@dataclass(frozen=True)
class Member:
    """A run with its model.

    Attributes:
      weights: which of its models: best, last or ema.
      sha256: of the file of that model.
      model: compiled for prediction; from images [batch, side, side, bands] to logits [batch, side, side, 1].
      normalisation: of the run, with declared bands missing.
      context_masks: whose masks the model is told of around a tile: none, or train.
    """

    folder: RunFolder
    record: RunRecord
    weights: str
    sha256: str
    model: keras.Model
    normalisation: Normalisation
    context_masks: str = "none"

    @property
    def context(self) -> int:
        """Pixels of surroundings that the model sees on every side of a tile."""
        return self.record.config.context

    def probability(
        self, images: npt.NDArray[np.float32], symmetries: str = "none"
    ) -> npt.NDArray[np.float32]:
        """Returns landslide probability float32 [batch, side, side] of normalised images [batch, side, side, bands].

        NaN, which no comparison would notice, is passed on.

        Args:
          symmetries: a name of `mmls_tf.prediction.symmetry.SYMMETRIES`; their mean is taken.
        """
        return mean_over(symmetries, self._predict, images)

    def _predict(self, images: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        return expit(predict_logits(self.model, images))


def predict_logits(model: keras.Model, images: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Returns logits float32 [batch, side, side] of images [batch, side, side, bands].

    A model that sees known masks takes images with their channel, or without: then nothing is known.
    An image alone is predicted twice by TensorFlow on a CPU: on one with AVX2 alone, oneDNN was measured to take
    378 ms for one image of a U-Net of 16 filters and 40 ms for two.
    """
    images, count = show_nothing(images, model.input_shape[-1]), len(images)
    if count == 1 and _slow_alone():
        images = np.repeat(images, 2, axis=0)
    return np.asarray(model.predict_on_batch(images), np.float32)[:count, ..., 0]


@cache
def _slow_alone() -> bool:
    device = find_device()
    return (device.backend, device.kind) == ("tensorflow", "CPU")


def load_member(run: Path, weights: str, backend: str, missing: str = "") -> Member:
    """Loads a run.

    Args:
      weights: auto, best, last or ema.
      backend: what Keras computes with now.
      missing: bands that are not there, named as in `--bands`, or known_mask.

    Raises:
      RunFolderError: the run is missing or has no such weights.
      UsageError: the run does not see a band that is declared missing, or would be left with none.
    """
    folder, record = RunFolder.open(run)
    bands, untold = _missing(missing, record)
    normalisation = record.normalisation.without(bands)
    weights = chosen_weights(weights, record.config)
    model = folder.load_model(weights)
    # The backend that trained it need not be the one that predicts, and each has its own use for XLA.
    jit = record.jit if backend == record.backend else choose_jit("auto", find_device())[0]
    model.compile(jit_compile=jit)
    sha256 = hashlib.sha256(folder.weights(weights).read_bytes()).hexdigest()
    context_masks = "none" if untold else record.config.context_masks
    return Member(folder, record, weights, sha256, model, normalisation, context_masks)


def mean_probability(
    members: Sequence[Member], images: Sequence[npt.NDArray[np.float32]], symmetries: str
) -> npt.NDArray[np.float32]:
    """Returns the mean of the members' probabilities float32 [batch, size, size] in the middle of their images.

    Args:
      images: for each member, normalised images [batch, size + 2 context, size + 2 context, bands].
    """
    total = None
    for member, batch in zip(members, images, strict=True):
        margin = member.context
        inner = slice(margin, batch.shape[1] - margin)
        found = member.probability(batch, symmetries)[:, inner, inner]
        total = found if total is None else total + found
    assert total is not None
    return total / np.float32(len(members))


def require_fit(dataset: Dataset, member: Member) -> None:
    """Makes sure that a data set is of the form that the run was trained on.

    Raises:
      DatasetError: bands, scaling or tile size differ.
    """
    manifest, record = dataset.manifest, member.record
    if manifest.scaling != record.scaling:
        raise DatasetError(
            f"{dataset.root}: expected bands scaled as {record.scaling}, as the run was trained on, found "
            f"{manifest.scaling}; the two releases are not to be mixed"
        )
    if manifest.tile_size != record.tile_size:
        raise DatasetError(
            f"{dataset.root}: expected tiles of {record.tile_size} pixels, as the run was trained on, found "
            f"{manifest.tile_size}"
        )
    for band, entry in zip(BANDS, manifest.bands, strict=False):
        if (entry["name"], entry["offset"], entry["scale"]) != (band.name, band.offset, band.scale):
            raise DatasetError(
                f"{dataset.root}: expected band {band.name} as (value - {band.offset}) / {band.scale}, as the run was "
                f"trained on, found {entry['name']} as (value - {entry['offset']}) / {entry['scale']}"
            )
    if len(manifest.bands) != len(BANDS):
        raise DatasetError(
            f"{dataset.root}: expected {len(BANDS)} bands, {', '.join(BAND_NAMES)}, found {len(manifest.bands)}"
        )


def _missing(words: str, record: RunRecord) -> tuple[tuple[int, ...], bool]:
    missing, untold = parse_missing(words)
    unseen = [BAND_NAMES[band] for band in missing if band not in record.normalisation.bands]
    if untold and record.config.context_masks == "none":
        unseen.append(CHANNEL)
    if unseen or len(missing) == len(record.normalisation.bands):
        found = f"{', '.join(unseen)} besides" if unseen else "all of them"
        raise UsageError(
            f"--missing={words}: expected some of the bands that the run sees, {record.config.bands}, found {found}"
        )
    return missing, untold
