"""Archives read back with another library, images without georeference, and runs that see surroundings."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tifffile
from PIL import Image

from mmls_tf.bands import BANDS
from mmls_tf.training.run_folder import RunFolder

CHALLENGE_ORDER = (5, 4, 3, 6, 0, 1, 2)  # where the bands of a challenge file stand in the canonical order


def read_back(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(set(names)) == len(names)
        return {name: np.array(Image.open(io.BytesIO(archive.read(name)))) for name in names}


def require_alike(
    masks: dict[str, np.ndarray], probabilities: dict[str, np.ndarray], threshold: float
) -> None:
    """A pixel may differ only where its probability is the threshold, but for rounding."""
    assert masks.keys() == {f"{stem}.tif" for stem in probabilities}
    for stem, probability in probabilities.items():
        clear = np.abs(probability - threshold) > 1e-4
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(masks[f"{stem}.tif"][clear], (probability > threshold)[clear])


def as_public(images: Path, target: Path, rename: Callable[[str], str] = str) -> Path:
    """Writes the images again in the layout of the public release, which has no georeference."""
    target.mkdir()
    for path in sorted(images.glob("images/*.tif")):
        stored = tifffile.imread(path).astype(np.float64)
        canonical = np.stack([stored[..., CHALLENGE_ORDER.index(band)] for band in range(7)], axis=-1)
        scaled = (canonical - [band.offset for band in BANDS]) / [band.scale for band in BANDS]
        scaled[np.abs(canonical) > 1e30] = 0.0
        tifffile.imwrite(target / f"{rename(path.stem)}.tif", scaled.astype(np.float32))
    return target


def give_context(run: Path, pixels: int, **flags: str) -> None:
    """Makes the run one of a model that smears what lies around into every pixel."""
    path = run / "run.json"
    record = json.loads(path.read_text())
    record["config"] |= {"context": pixels, **flags}
    path.write_text(json.dumps(record))
    side = 32 + 2 * pixels
    image = keras.Input((side, side, 8 if "context_masks" in flags else 7))
    keras.utils.set_random_seed(1)
    smear = keras.layers.Conv2D(1, 2 * pixels + 1, padding="same", kernel_initializer="glorot_normal")
    RunFolder(run).save_model(keras.Model(image, smear(image)), "best")
