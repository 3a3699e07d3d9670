"""The networks of `benchmarks.models` in PyTorch, and the clock beside them: imports PyTorch and NumPy only.

    python -m benchmarks.torch_models NETWORK PRECISION STEPS

Layer by layer the networks of `mmls_tf`, with the same number of trainable parameters: the U-Net of configs/unet.flags,
and DeepLabv3+ at output stride 16 over the ResNet-34 with pre-activation that keras-cv has. Only the padding of
strided convolutions differs, on both sides here, on one side there. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

BANDS, SIZE, BATCH, WARM_UP = 7, 128, 16, 3


def conv_norm_relu(
    inputs: int, outputs: int, size: int, dilation: int = 1, separable: bool = False
) -> nn.Module:
    """Convolution without bias, batch normalisation, ReLU."""
    padding = dilation * (size // 2)
    if separable:
        depthwise = nn.Conv2d(
            inputs, inputs, size, padding=padding, dilation=dilation, groups=inputs, bias=False
        )
        convolution: nn.Module = nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1, bias=False))
    else:
        convolution = nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def conv_block(inputs: int, outputs: int) -> nn.Module:
    """Two 3 x 3 convolutions with normalisation and ReLU."""
    return nn.Sequential(conv_norm_relu(inputs, outputs, 3), conv_norm_relu(outputs, outputs, 3))


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling between pixel centres."""
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class PlainUnet(nn.Module):
    """U-Net of five levels, batch normalised, with bilinear upsampling."""

    def __init__(self, filters: int = 16) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(5)]
        self.down = nn.ModuleList(conv_block(a, b) for a, b in pairwise([BANDS, *widths]))
        self.up = nn.ModuleList(conv_block(a + b, b) for a, b in pairwise(widths[::-1]))
        self.head = nn.Conv2d(filters, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [batch, 1, size, size]."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = skips.pop()
        for block in self.up:
            x = block(torch.cat([upsample(x, 2), skips.pop()], 1))
        return self.head(x)


class PreactivationBlock(nn.Module):
    """Basic residual block of He et al. 2016 (arXiv 1603.05027); the input may be projected, strided and dilated."""

    def __init__(self, inputs: int, outputs: int, stride: int, first_dilation: int, dilation: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=False))
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs else None
        self.body = nn.Sequential(
            nn.Conv2d(
                inputs, outputs, 3, stride, padding=first_dilation, dilation=first_dilation, bias=False
            ),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation, bias=False),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the features, and the normalised and rectified input, which is a level of the pyramid."""
        activated = self.before(x)
        return self.body(activated) + (x if self.shortcut is None else self.shortcut(activated)), activated


class DeepLabV3PlusResnet34(nn.Module):
    """DeepLabv3+ (arXiv 1802.02611) at output stride 16 over ResNet-34 with pre-activation."""

    def __init__(self, filters: int = 16) -> None:
        super().__init__()
        width = 16 * filters
        self.stem = nn.Conv2d(BANDS, 64, 7, stride=2, padding=3)
        self.stages = nn.ModuleList(
            self._stage(inputs, outputs, blocks, stride, dilation)
            for inputs, outputs, blocks, stride, dilation in (
                (64, 64, 3, 1, 1),
                (64, 128, 4, 2, 1),
                (128, 256, 6, 2, 1),
                (256, 512, 3, 1, 2),
            )
        )
        self.after = nn.Sequential(nn.BatchNorm2d(512), nn.ReLU(inplace=True))
        self.branches = nn.ModuleList(
            [
                conv_norm_relu(512, width, 1),
                *(conv_norm_relu(512, width, 3, rate, True) for rate in (6, 12, 18)),
            ]
        )
        self.pooled = nn.Conv2d(512, width, 1)
        self.mixed = conv_norm_relu(5 * width, width, 1)
        self.context = conv_norm_relu(width, width, 3, separable=True)
        self.low_level = conv_norm_relu(64, 3 * filters, 1)
        self.decoder = conv_norm_relu(width + 3 * filters, width, 3, separable=True)
        self.head = nn.Conv2d(width, 1, 1)

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int, dilation: int) -> nn.ModuleList:
        first = PreactivationBlock(inputs, outputs, stride, 1, dilation)
        rest = (PreactivationBlock(outputs, outputs, 1, dilation, dilation) for _ in range(blocks - 1))
        return nn.ModuleList([first, *rest])

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [batch, 1, size, size]."""
        x = functional.max_pool2d(self.stem(x), 3, 2, 1)
        levels: list[Tensor] = []
        for stage in self.stages:
            for index, block in enumerate(stage):
                x, activated = block(x)
                if index == 0:
                    levels.append(activated)
        x = self.after(x)
        pooled = functional.relu(self.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        x = self.context(self.mixed(torch.cat([*(branch(x) for branch in self.branches), pooled], 1)))
        x = torch.cat([upsample(x, 4), self.low_level(levels[1])], 1)
        return upsample(self.head(self.decoder(x)), 4)


NETWORKS: dict[str, Callable[[], nn.Module]] = {"unet": PlainUnet, "deeplabv3plus": DeepLabV3PlusResnet34}


def bce_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """`mmls_tf.losses.BceDice` where every pixel is labelled and valid."""
    logits = logits.float()
    probability = torch.sigmoid(logits)
    dice = 1 - (2 * (probability * labels).sum() + 1) / (probability.sum() + labels.sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, labels) + dice


def tiles_per_second(step: Callable[[], object], steps: int) -> float:
    """Times `steps` calls after a few that are not counted."""
    for _ in range(WARM_UP):
        step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return BATCH * steps / (time.perf_counter() - started)


def measure(network: str, precision: str, steps: int) -> dict[str, float]:
    """Trains and infers on a batch of noise; a step ends when the loss, or the logits, are on the host."""
    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count() or 1)
    model = NETWORKS[network]().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
    random = np.random.default_rng(0)
    images = random.normal(size=(BATCH, SIZE, SIZE, BANDS)).astype(np.float32)
    labels = torch.from_numpy(random.integers(0, 2, size=(BATCH, 1, SIZE, SIZE)).astype(np.float32))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

    def forward() -> Tensor:
        with autocast:
            return model(torch.from_numpy(images).permute(0, 3, 1, 2))  # channels last, without a copy

    def train() -> float:
        optimizer.zero_grad()
        loss = bce_dice(forward(), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    def infer() -> np.ndarray:
        with torch.inference_mode():
            return forward().float().numpy()

    trained = tiles_per_second(train, steps)
    model.eval()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "train": trained,
        "infer": tiles_per_second(infer, 2 * steps),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
