"""Writes docs/models.md: what models cost, beside segmentation_models.pytorch, and how fast they are, beside PyTorch.

    python -m benchmarks.model_docs [--out=docs/models.md]

Costs of ours are counted anew (a minute or two); speeds are those of `--speed`, which `benchmarks.models` printed. A
difference of more than 10 % needs a reason in `REASONS`, or nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmls_tf.backend import start_backend
from mmls_tf.bands import BAND_NAMES
from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.errors import UsageError


@dataclass(frozen=True)
class DocsConfig:
    """Where to read and write."""

    out: str = option("docs/models.md", "Page to write.")
    speed: str = option("docs/results/models.json", "Result of benchmarks.models.")


# segmentation_models.pytorch, 7 bands and one class: 10^6 parameters, 10^9 multiply-accumulates of one tile of 128 x
# 128 pixels as PyTorch's FlopCounterMode counts them (halved: it counts a multiplication and an addition as two).
ENCODERS = ("resnet18", "resnet34", "resnet50", "mit_b0", "mit_b2")
_PEER: dict[str, str] = {
    "unet": "14.34 1.40   24.45 2.01   32.53  2.71   5.56 0.74   27.49 1.74",
    "unetplusplus": "15.98 4.04   26.09 4.65   49.00 14.41      -    -       -    -",
    "pspnet": "11.34 0.41   21.45 0.64   24.31  0.78   3.40 0.09   24.36 0.42",
    "deeplabv3": "15.91 4.23   26.02 6.88   39.65 10.27   6.15 1.65   28.93 7.77",
    "deeplabv3plus": "12.34 1.19   22.45 2.02   26.69  2.34   4.14 0.37   25.36 1.73",
    "segformer": "11.78 1.08   21.89 1.68   24.85  1.92   3.72 0.43   24.73 1.35",
}
TOLERANCE = 0.1
_ALL_OF_IT = (
    "segmentation_models.pytorch pools what the encoder has at stride 8, after three of its five levels; the levels "
    "below count among its parameters and are never run. Ours, as the paper's, runs the whole encoder, dilated to "
    "stride 8, and pools its last features, which have more channels."
)
_SHORT_KEYS = (
    "In a dilated MiT, segmentation_models.pytorch takes the stride out of the convolutions that shorten keys and "
    "values too, and pads them: 18 x 18 positions where ours, as the paper's, has 8 x 8 (0.20 G in each of six blocks)."
)
_FROM_FOUR = (
    "The head of segmentation_models.pytorch takes the level at stride 2 too, which MiT has not; ours starts at "
    "stride 4 over every encoder, as in the paper."
)
REASONS: dict[tuple[str, str], str] = {
    **{("pspnet", encoder): _ALL_OF_IT for encoder in ENCODERS},
    ("deeplabv3", "mit_b2"): _SHORT_KEYS,
    ("segformer", "resnet18"): _FROM_FOUR,
}


@dataclass(frozen=True)
class Row:
    """A model and its peer: 10^6 parameters and 10^9 multiply-accumulates; None where the peer has no such model."""

    decoder: str
    encoder: str
    ours: tuple[float, float]
    peer: tuple[float, float] | None

    @property
    def differs(self) -> bool:
        """Whether either number is more than 10 % off the peer's."""
        pairs = zip(self.ours, self.peer or self.ours, strict=True)
        return any(abs(own / other - 1.0) > TOLERANCE for own, other in pairs)


def count_rows() -> Iterator[Row]:
    """Counts every model."""
    from mmls_tf.models.cost import model_cost
    from mmls_tf.models.registry import build_model
    from mmls_tf.models.spec import ModelSpec

    for decoder, numbers in _PEER.items():
        words = numbers.split()
        for index, encoder in enumerate(ENCODERS):
            pair = words[2 * index : 2 * index + 2]
            cost = model_cost(build_model(ModelSpec(decoder, encoder, 16, 128, BAND_NAMES), "float32", 0))
            peer = None if "-" in pair else (float(pair[0]), float(pair[1]))
            yield Row(decoder, encoder, (cost.parameters / 1e6, cost.macs / 1e9), peer)


def cost_table(rows: list[Row], titles: dict[str, str]) -> str:
    """Returns the table of costs and the reasons under it.

    Raises:
      UsageError: a difference has no reason, or a reason no difference.
    """
    lines, reasons = [], list[str]()
    for row in rows:
        reason = REASONS.get((row.decoder, row.encoder))
        if row.differs != bool(reason):
            raise UsageError(
                f"{row.decoder} on {row.encoder}: expected a reason in REASONS where a number is more than 10 % off "
                f"the peer's, and nowhere else; found ours {row.ours}, theirs {row.peer}, reason {reason!r}"
            )
        if reason and reason not in reasons:
            reasons.append(reason)
        peer = [f"{number:.2f}" for number in row.peer] if row.peer else ["", ""]
        note = f"[{reasons.index(reason) + 1}]" if reason else ""
        cells = [f"{row.ours[0]:.2f}", peer[0], f"{row.ours[1]:.2f}", peer[1], note]
        lines.append(f"| {titles[row.decoder]} | {row.encoder} | {' | '.join(cells)} |")
    notes = [f"[{number}] {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([_COST_HEAD, *lines, "", "\n\n".join(notes)])


def speed_table(result: dict[str, Any]) -> str:
    """Returns the table of a result of `benchmarks.models`."""
    lines = [_SPEED_HEAD]
    for network, title in _NETWORKS.items():
        for variant, found in result[network].items():
            if variant in ("parameters", "disturbed_rounds"):
                continue
            name = f"{variant} ({found['precision']})" if variant.endswith("default") else variant
            cells = [_spread(found[phase]) for phase in ("train", "infer")]
            lines.append(f"| {title} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(found: dict[str, Any]) -> str:
    return f"{found['median']} ({min(found['rounds'])}-{max(found['rounds'])})"


_COST_HEAD = """\
| decoder | encoder | 10^6 parameters | peer | 10^9 MACs | peer | why |
|---|---|---|---|---|---|---|"""
_SPEED_HEAD = """\
| network | | training | inference |
|---|---|---|---|"""
_NETWORKS = {"unet": "U-Net, plain, 16 filters", "deeplabv3plus": "DeepLabv3+ on resnet34"}
_PAGE = """\
# Models

This page is written by `python -m benchmarks.model_docs`. What there is to choose from: `python -m mmls_tf.models`.
Whether XLA compiles every decoder over every encoder, and computes the same: [model_grid.md](model_grid.md).

## Cost, beside segmentation_models.pytorch

Trainable parameters, and multiply-accumulates (MACs) of one tile of 128 x 128 pixels, seven bands, 16 filters in the
decoder (the default). Peer: the model of the same name over the encoder of the same name in
[segmentation_models.pytorch](https://github.com/qubvel-org/segmentation_models.pytorch), counted by PyTorch's
FlopCounterMode. Both count convolutions and matrix products, and neither counts normalisation, activation, pooling and
resizing. It has no UNet++ over MiT; its EfficientNets are of the first version, ours of the second, and are not
compared. Our ResNets are with pre-activation (arXiv 1603.05027), its are not, at the same cost.

{costs}

## Speed on a CPU, beside PyTorch

    python -m benchmarks.models --torch_python=/path/to/python

Tiles of 128 x 128 pixels a second, median (and range) of {rounds} rounds of all variants in turn, on {cores} cores, in
batches of 16. PyTorch {torch}, channels_last, runs the same networks, of the same number of parameters; bfloat16
is by its autocast. TensorFlow {tensorflow}, Keras {keras}. A training step is forward, loss, backward, clipping
and AdamW. Ratios are of runs of one round; the machine is shared, and absolute figures move by a quarter.

{speeds}

What is left of PyTorch's lead in bfloat16 over a ResNet lies in the kernels: of a prediction's time TensorFlow spends
70 % in oneDNN's convolutions, which take weights in their plain layout and bring them into their own at every call, and
7 % in casts between float32 variables and bfloat16; in training three quarters are the convolutions' gradients. What
should take it, untried: weights packed once, and variables kept in bfloat16 beside those in float32.
"""


def main() -> None:
    """Counts, reads and writes."""
    config = config_from_flags(DocsConfig)
    speed = json.loads(Path(config.speed).read_text(encoding="utf-8"))
    start_backend("auto")
    Path(config.out).write_text(page(speed), encoding="utf-8")
    print(f"Written: {config.out}")


def page(speed: dict[str, Any]) -> str:
    """Returns the page."""
    from mmls_tf.models.registry import DECODERS

    titles = {name: decoder.title for name, decoder in DECODERS.items()}
    return _PAGE.format(
        costs=cost_table(list(count_rows()), titles),
        speeds=speed_table(speed),
        rounds=" or ".join(str(number) for number in _rounds(speed)),
        cores=speed["cores"],
        **speed["versions"],
    )


def _rounds(speed: dict[str, Any]) -> list[int]:
    return sorted({len(speed[network]["PyTorch float32"]["train"]["rounds"]) for network in _NETWORKS})


if __name__ == "__main__":
    define_flags(DocsConfig)
    run(main)
