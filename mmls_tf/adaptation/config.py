"""The configuration of an adaptation."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.config import BACKENDS, WEIGHTS, WEIGHTS_HELP, parse_augment
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.schema import SPLITS

METHODS = ("statistics", "teacher", "finetune", "prior")  # in the order in which they are applied


@dataclass(frozen=True)
class AdaptConfig:
    """Which run to adapt to which ground. Every field is a flag of `python -m mmls_tf.adapt`."""

    run: str = option(None, "Run folder made by mmls_tf.train; it is left as it is.")
    target: str = option(None, "Data set with tiles of the ground to adapt to; they need no masks.")
    out: str = option(None, "Run folder to write; must not exist.")
    method: str = option(
        None,
        "Joined by '+', applied in this order: statistics (of bands and batch normalisation, of the target), teacher "
        "(self-training on pseudo-labels of a mean teacher), finetune (on --labels labelled target tiles), prior "
        "(logits moved by the target's estimated share of landslides).",
    )
    target_split: str = option(
        "isolated",
        "Split of --target whose images are used. Of isolated, this is entered in the ledgers.",
        SPLITS,
    )
    labels: int = option(
        0,
        "Labelled target tiles for finetune; evaluations of the new run leave them out. No other mask is used.",
    )
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    statistics: str = option(
        "both",
        "What statistics means: bands (mean and deviation that bands are normalised by), moments (of batch "
        "normalisation, in every layer), or both.",
        ("both", "bands", "moments"),
    )
    steps: int = option(200, "Training steps of teacher, and of finetune.")
    batch: int = option(16, "Tiles a step, half of them of the target.")
    learning_rate: float = option(2e-4, "Highest learning rate of teacher and finetune.")
    confidence: float = option(0.9, "Probability of either class from which a pixel gets a pseudo-label.")
    momentum: float = option(0.98, "Momentum of the average of the student's weights that the teacher is.")
    pseudo_weight: float = option(1.0, "Weight of the loss on target tiles beside that on source tiles.")
    augment: str = option(
        "d4+optics+noise+crop",
        "Changes of target tiles that the student sees and the teacher does not, as --augment of training.",
    )
    seed: int = option(0, "Seed of the choice of labelled tiles, of order and of augmentation.")
    backend: str = option(
        "auto",
        "What Keras computes with, whatever the run was trained with. auto: what KERAS_BACKEND says, or else "
        "TensorFlow.",
        ("auto", *BACKENDS),
    )

    def __post_init__(self) -> None:
        parse_augment(self.augment)
        if self.labels < 0 or (self.labels > 0) != ("finetune" in parse_method(self.method)):
            raise UsageError(
                f"--method={self.method} --labels={self.labels}: expected finetune with --labels from 1 up, or neither"
            )
        for name in ("steps", "learning_rate", "pseudo_weight"):
            if not getattr(self, name) > 0:
                raise UsageError(f"--{name}={getattr(self, name)}: expected more than 0")
        if self.batch < 2:
            raise UsageError(f"--batch={self.batch}: expected 2 or more, half of them of the target")
        if not 0.5 <= self.confidence < 1:
            raise UsageError(f"--confidence={self.confidence}: expected a probability in [0.5, 1)")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"--momentum={self.momentum}: expected a momentum in [0, 1), such as 0.98")
        if self.seed < 0:
            raise UsageError(f"--seed={self.seed}: expected 0 or more")


def parse_method(text: str) -> tuple[str, ...]:
    """Returns the methods that `--method` names, in the order in which they are applied.

    Raises:
      UsageError: a name is none of them.
    """
    names = text.split("+")
    for name in names:
        if name not in METHODS:
            raise UsageError(
                f"--method={text}: expected names joined by '+' out of {', '.join(METHODS)}; found {name!r}"
            )
    return tuple(name for name in METHODS if name in names)
