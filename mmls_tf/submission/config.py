"""The configuration of a submission."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.config import BACKENDS, WEIGHTS, WEIGHTS_HELP
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.evaluation.config import SYMMETRIES, EvaluateConfig, parse_threshold
from mmls_tf.raster.layouts import LAYOUTS


@dataclass(frozen=True)
class SubmitConfig:
    """Which images to predict with which run, into which archive. Every field is a flag of `mmls_tf.submit`."""

    run: str = option(None, "Run folder made by mmls_tf.train, or light, which comes with the package.")
    images: str = option(None, "Folder of images, or of a folder `images`; there need be no masks.")
    out: str = option("submission.zip", "Archive to write; must not exist.")
    names: str = option(
        "", "File with the names that are asked for, one a line, with or without ending; empty: all images."
    )
    around: str = option(
        "",
        "Data set whose train and val tiles lie around the images, for runs with --context_from=all: their images, and "
        "masks of train tiles for runs with --context_masks. Empty: images see one another alone.",
    )
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    ensemble: str = option(
        "", "Run folders, joined by commas, whose probabilities are averaged with those of --run."
    )
    tta: str = option(
        "none", "Average over symmetries of the square: none, flips (four) or d4 (all eight).", SYMMETRIES
    )
    threshold: str = option(
        "0.5",
        "Probability above which a pixel is landslide: a number in (0, 1), or val: what `mmls_tf.evaluate "
        "--split=val` with the same --weights, --ensemble and --tta has chosen.",
    )
    layout: str = option("auto", "Form of the images; auto recognises it from the files.", ("auto", *LAYOUTS))
    check_order: bool = option(
        True, "Check the order of bands by their values and by slope = Horn(elevation)."
    )
    drivers: str = option("GTiff", "GDAL drivers that may open images, joined by commas.")
    batch: int = option(16, "Tiles a forward pass.")
    overwrite: bool = option(False, "Replace an archive at --out.")
    backend: str = option(
        "auto",
        "What Keras computes with, whatever the run was trained with. auto: what KERAS_BACKEND says, or else "
        "TensorFlow.",
        ("auto", *BACKENDS),
    )

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UsageError(f"--batch={self.batch}: expected 1 or more")
        if self.threshold != "val":
            parse_threshold(self.threshold)
        if not self.out.lower().endswith(".zip"):
            raise UsageError(f"--out={self.out}: expected a name that ends in .zip")

    @property
    def evaluated(self) -> EvaluateConfig:
        """The evaluation on val that chooses the threshold."""
        return EvaluateConfig(
            run=self.run,
            split="val",
            weights=self.weights,
            ensemble=self.ensemble,
            tta=self.tta,
            batch=self.batch,
        )
