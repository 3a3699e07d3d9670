"""A training step of PyTorch under torch.compile, on a GPU where there is one: imports PyTorch and NumPy only.

    python -m benchmarks.torch_compiled NETWORK FILTERS SIZE BATCH STEPS

The networks are those of `benchmarks.torch_models`, in channels_last under autocast to bfloat16. A step is forward, BCE
and Dice loss, backward, gradient clipping and fused AdamW, on a batch of noise that lies on the device: nothing is cut
out or augmented, and the host waits for the last step alone. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import nn

from benchmarks.torch_models import BANDS, NETWORKS, bce_dice

_WARM_UP = 10  # compiles at the first step; the first ones after it still choose kernels


def measure(network: str, filters: int, size: int, batch: int, steps: int) -> dict[str, float | str]:
    """Returns the parameters, the device and the tiles a second of training."""
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = NETWORKS[network]
    model = kind(filters).to(device, memory_format=torch.channels_last)  # type: ignore[call-arg]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4, fused=device == "cuda")
    images = torch.randn(batch, BANDS, size, size, device=device).to(memory_format=torch.channels_last)
    labels = (torch.rand(batch, 1, size, size, device=device) > 0.7).float()
    forward = torch.compile(model)

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            logits = forward(images)
        loss = bce_dice(logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    for _ in range(_WARM_UP):
        loss = step()
    loss.item()
    started = time.perf_counter()
    for _ in range(steps):
        loss = step()
    loss.item()  # waits for all of them
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "tiles_per_second": batch * steps / (time.perf_counter() - started),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *(int(word) for word in sys.argv[2:]))))
