"""A plain sliding window over a scene in memory, in PyTorch: imports PyTorch and NumPy only.

    python -m benchmarks.torch_scene SCENE.npy OVERLAP PRECISION FILTERS

SCENE.npy holds raw values, float32 [7, rows, columns]. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import numpy as np
import torch

from benchmarks.torch_models import PlainUnet

TILE, BATCH, WARM_UP = 128, 16, 3
MEAN, STD = 100.0, 50.0


def starts(length: int, stride: int) -> list[int]:
    """Returns the first pixels of windows along a side, the last one moved back."""
    regular = list(range(0, length - TILE + 1, stride))
    return regular if regular[-1] + TILE == length else [*regular, length - TILE]


def measure(path: str, overlap: float, precision: str, filters: int) -> dict[str, float]:
    """Reads, predicts, blends with Hann windows and thresholds; the model is warm before the clock starts."""
    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count() or 1)
    model = PlainUnet(filters).to(memory_format=torch.channels_last).eval()
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

    def predict(batch: torch.Tensor) -> np.ndarray:
        with torch.inference_mode(), autocast:
            return torch.sigmoid(model(batch.contiguous(memory_format=torch.channels_last)).float())[
                :, 0
            ].numpy()

    for _ in range(WARM_UP):
        predict(torch.zeros(BATCH, 7, TILE, TILE))
    started = time.perf_counter()
    scene = (np.load(path) - MEAN) / STD
    _, rows, columns = scene.shape
    hann = np.maximum(np.hanning(TILE + 2)[1:-1], 1e-3).astype(np.float32)
    weight = np.outer(hann, hann)
    total, weights = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    stride = max(1, round(TILE * (1 - overlap)))
    places = [(row, column) for row in starts(rows, stride) for column in starts(columns, stride)]
    for first in range(0, len(places), BATCH):
        some = places[first : first + BATCH]
        batch = np.stack([scene[:, row : row + TILE, column : column + TILE] for row, column in some])
        for (row, column), found in zip(some, predict(torch.from_numpy(batch)), strict=True):
            total[row : row + TILE, column : column + TILE] += weight * found
            weights[row : row + TILE, column : column + TILE] += weight
    probability = total / weights
    mask = probability > 0.5
    seconds = time.perf_counter() - started
    assert mask.shape == (rows, columns)
    return {
        "seconds": round(seconds, 3),
        "windows": len(places),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    }


if __name__ == "__main__":
    path, overlap, precision, filters = sys.argv[1:]
    print(json.dumps(measure(path, float(overlap), precision, int(filters))))
