"""Figures quoted from the paper of MMLSv2, and the names of models as printed there."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "Paheding et al. 2026, arXiv 2602.08112"
QUOTED = "quoted, arXiv 2602.08112"  # short: tables of scores are wide
MEASURED = "measured here"
NOT_QUOTED = "not quoted"

TITLES = {
    "unet": "U-Net",
    "unetplusplus": "U-Net++",
    "pspnet": "PSPNet",
    "deeplabv3": "DeepLabV3",
    "deeplabv3plus": "DeepLabV3+",
    "segformer": "SegFormer",
}


@dataclass(frozen=True)
class PublishedRow:
    """mIoU of a model on the published test split and on the isolated region, shares in [0, 1] of three digits."""

    model: str
    test: float
    isolated: float

    def miou(self, split: str) -> float:
        """Returns the figure of test or isolated."""
        return {"test": self.test, "isolated": self.isolated}[split]


ROWS = (
    PublishedRow("unet", 0.814, 0.721),
    PublishedRow("unetplusplus", 0.823, 0.708),
    PublishedRow("pspnet", 0.828, 0.709),
    PublishedRow("deeplabv3", 0.817, 0.725),
    PublishedRow("deeplabv3plus", 0.829, 0.696),
    PublishedRow("segformer", 0.812, 0.735),
)

# The ladder of bands, each step with one more; the paper's text gives mIoU at its two ends, to two digits.
LADDER = ("rgb", "rgb+dem", "rgb+dem+slope", "rgb+dem+slope+thermal_inertia", "all")
LADDER_TITLES = ("RGB", "+ elevation", "+ slope", "+ thermal inertia", "+ grayscale (all seven)")
LADDER_ENDS = {"rgb": 0.71, "all": 0.81}


def model_title(model: str) -> str:
    """Returns the name as printed, of models that the paper does not have the name of the flag."""
    return TITLES.get(model, model)
