"""Weights that an encoder starts from: a library's, a file's, or another model's."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import keras

from mmls_tf.errors import UsageError
from mmls_tf.models.encoders.rebuild import layer_weights
from mmls_tf.models.encoders.table import ENCODERS
from mmls_tf.models.fusion import SelectBands
from mmls_tf.models.inflation import inflate
from mmls_tf.models.pyramid import Encoder, LayerWeights

IMAGENET = "imagenet"
RGB = ("red", "green", "blue")


@dataclass(frozen=True)
class Pretrained:
    """Weights of one encoder.

    Attributes:
      title: what they are, in print.
      bands: names of the bands that its first convolution sees, in their order.
      exact: whether layers beyond the encoder's are a sign of another architecture: a library's classifier is not.
    """

    title: str
    bands: tuple[str, ...]
    layers: LayerWeights
    exact: bool = True


def from_imagenet(encoder: Encoder) -> Pretrained:
    """Downloads weights for red, green and blue as the encoder's library offers them, or finds them in its cache.

    Libraries prepare images in different ways, to [-1, 1] or to about zero mean and unit variance; bands here have zero
    mean and unit variance. Up to a factor and an offset that is the same, and in every one of these networks a
    normalisation follows the first convolution and takes most of both out.

    Raises:
      UsageError: the library has none, or they cannot be had.
    """
    offering = ", ".join(name for name, entry in ENCODERS.items() if entry.imagenet)
    if not (encoder.imagenet and encoder.library):
        raise UsageError(
            f"--pretrained=imagenet: expected an encoder whose library offers ImageNet weights ({offering}), found "
            f"--encoder={encoder.name}; give a file or a run"
        )
    try:
        layers = encoder.library(IMAGENET)
    except Exception as error:  # the network fails in too many ways to name: any of them means the same here
        raise UsageError(
            f"--pretrained=imagenet: expected to download the weights of {encoder.name} by {encoder.source}, found: "
            f"{error}\nOn a machine without network give a file of them: --pretrained=PATH.h5"
        ) from error
    return Pretrained(f"ImageNet weights of {encoder.source}", RGB, layers, exact=False)


def from_file(path: Path, encoder: Encoder, bands: tuple[str, ...]) -> Pretrained:
    """Reads a file of weights of the same encoder.

    A `.keras` file holds an encoder made here, saved by `model.get_layer("encoder").save(path)`; if its input has three
    bands they are taken as red, green and blue, else they must be as many as `bands`, and are taken as those. A
    `.weights.h5` or `.h5` file holds the library's model for red, green and blue without its classifier, as
    `save_weights` writes it and as keras.applications distributes it ("notop").

    Args:
      bands: that the new encoder sees.

    Raises:
      UsageError: another kind of file, another architecture, or another number of bands.
    """
    if path.suffix == ".keras":
        model = _load_keras(path)
        return Pretrained(str(path), _bands_of_file(path, model, bands), layer_weights(model))
    if path.suffix != ".h5":
        raise UsageError(f"--pretrained={path}: expected imagenet, a run folder, a .keras file or a .h5 file")
    if encoder.library is None:
        raise UsageError(
            f"--pretrained={path}: expected a .keras file or a run folder for --encoder={encoder.name}, which is of no "
            "library that .h5 files could come from"
        )
    try:
        layers = encoder.library(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise UsageError(
            f"--pretrained={path}: expected weights of {encoder.name} of {encoder.source}, for three bands and without "
            f"classifier, found: {error}"
        ) from error
    return Pretrained(str(path), RGB, layers, exact=False)


def encoders_of(model: keras.Model, bands: tuple[str, ...]) -> dict[str, tuple[keras.Model, tuple[str, ...]]]:
    """Returns the encoders of a model by name, each with the bands that it sees.

    Args:
      bands: that the model sees.
    """
    # Of a fusion, `optical_bands` picks the channels that `optical_encoder` sees.
    chosen = {
        layer.name.replace("_bands", "_encoder"): tuple(bands[index] for index in layer.indices)
        for layer in model.layers
        if isinstance(layer, SelectBands)
    }
    return {encoder.name: (encoder, chosen.get(encoder.name, bands)) for encoder in _encoders(model)}


def load_into(encoder: keras.Model, bands: tuple[str, ...], source: Pretrained) -> int:
    """Gives an encoder other weights, the first convolution's inflated to `bands`, and returns how many variables.

    Raises:
      UsageError: they are of another architecture; the message names a layer that tells.
    """
    own = layer_weights(encoder)
    stem = next(iter(own))
    extra = sorted(source.layers.keys() - own.keys()) if source.exact else []
    if extra:
        raise _mismatch(encoder, source, f"none named {extra[0]!r}", "one")
    new = {name: list(source.layers.get(name, [])) for name in own}
    if new[stem] and new[stem][0].ndim == 4 and new[stem][0].shape[2] == len(source.bands):
        new[stem][0] = inflate(new[stem][0], source.bands, bands)
    for name, weights in own.items():
        expected, found = ([weight.shape for weight in layer] for layer in (weights, new[name]))
        if expected != found:
            raise _mismatch(encoder, source, f"{name!r} with variables of {expected}", found or "none")
    for layer in encoder.layers:
        if layer.name in new:
            layer.set_weights(new[layer.name])
    return sum(len(weights) for weights in new.values())


def _mismatch(encoder: keras.Model, source: Pretrained, expected: str, found: object) -> UsageError:
    return UsageError(
        f"--pretrained: {source.title}: expected weights of the same encoder as {encoder.name!r} of this model, found "
        f"another architecture: of layers {expected}, {found}"
    )


def _encoders(model: keras.Model) -> list[keras.Model]:
    return [
        layer for layer in model.layers if isinstance(layer, keras.Model) and layer.name.endswith("encoder")
    ]


def _load_keras(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"--pretrained={path}: expected an encoder saved by Keras, found that it cannot be read: {error}"
        ) from error


def _bands_of_file(path: Path, model: keras.Model, bands: tuple[str, ...]) -> tuple[str, ...]:
    inputs = [tensor.shape for tensor in model.inputs]
    count = inputs[0][-1] if len(inputs) == 1 and len(inputs[0]) == 4 else 0
    if _encoders(model):
        raise UsageError(
            f"--pretrained={path}: expected an encoder, found a whole model; give the run folder, which names its bands"
        )
    if count in (len(RGB), len(bands)):
        return RGB if count == len(RGB) else bands
    raise UsageError(
        f"--pretrained={path}: expected an encoder of images of 3 bands (red, green, blue) or of {len(bands)} "
        f"({', '.join(bands)}), found inputs {inputs}"
    )
