"""What is chosen on val, and on nothing else: the threshold, and the temperature of the probabilities."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.errors import DatasetError, MmlsError, UsageError
from mmls_tf.evaluation.calibration import fit_temperature
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.curves import best_threshold
from mmls_tf.evaluation.histogram import Accumulator, Histogram
from mmls_tf.files import write_json
from mmls_tf.prediction.member import Member
from mmls_tf.prediction.tiles import as_dealt, predict_tiles


@dataclass(frozen=True)
class Choice:
    """What val says about a run, or an ensemble, as it is evaluated.

    Attributes:
      threshold: probability above which a pixel is landslide, for the highest mIoU over all labelled pixels.
      temperature: by which logits are divided for the lowest negative log-likelihood.
      tiles: how many tiles of val it was chosen on.
      weights_sha256: of every member's weights.
      data_fingerprint: of the data set.
    """

    threshold: float
    temperature: float
    tiles: int
    weights_sha256: tuple[str, ...]
    data_fingerprint: str


def choose_by(histogram: Histogram, tiles: int, members: Sequence[Member], dataset: Dataset) -> Choice:
    """Returns what the probabilities of all labelled pixels of val suggest.

    Raises:
      DatasetError: val has no landslide, or nothing else.
    """
    return Choice(
        best_threshold(histogram),
        fit_temperature(histogram),
        tiles,
        tuple(member.sha256 for member in members),
        dataset.manifest.fingerprint,
    )


def keep_choice(choice: Choice, run: Path, variant: str) -> None:
    """Writes a choice into the run folder."""
    path = _path(run, variant)
    path.parent.mkdir(exist_ok=True)
    write_json(path, dataclasses.asdict(choice))


def choice_of(members: Sequence[Member], config: EvaluateConfig, dataset: Dataset) -> Choice | None:
    """Returns what was chosen on the val split that the first run was trained with; chooses now if need be.

    None where that data set is not to be had any more.

    Raises:
      UsageError: --threshold=val asks for it, and it is not to be had.
    """
    record = members[0].record
    stored = stored_choice(Path(config.run), config.variant)
    shas = tuple(member.sha256 for member in members)
    if stored and (stored.weights_sha256, stored.data_fingerprint) == (shas, record.fingerprint):
        return stored
    try:
        home = dataset
        if dataset.manifest.fingerprint != record.fingerprint:
            home = open_dataset(Path(record.config.data))
            if home.manifest.fingerprint != record.fingerprint:
                raise DatasetError(f"{home.root}: expected the data set of the run, found another")
        verify_splits(home, ["val"])
    except MmlsError as error:
        if config.threshold == "val":
            raise UsageError(
                f"--threshold=val: expected the val split that {config.run} was trained with, found {error}"
            ) from error
        return None
    accumulator, tiles = Accumulator(), 0
    dealt = as_dealt(members[0], home)
    for tile, probability in predict_tiles(members, dealt, "val", config.batch, config.tta):
        accumulator.add(probability, tile.mask)
        tiles += 1
    choice = choose_by(accumulator.histogram(), tiles, members, home)
    keep_choice(choice, Path(config.run), config.variant)
    return choice


def stored_choice(run: Path, variant: str) -> Choice | None:
    path = _path(run, variant)
    if not path.is_file():
        return None
    fields = json.loads(path.read_text(encoding="utf-8"))
    return Choice(**{**fields, "weights_sha256": tuple(fields["weights_sha256"])})


def _path(run: Path, variant: str) -> Path:
    # Not among the evaluations: it is no score.
    return run / "choices" / f"{variant or 'plain'}.json"
