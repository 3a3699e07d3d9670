"""Tables of what there is to choose from, and of what it costs; rows appear as soon as they are counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from mmls_tf.bands import BAND_NAMES, parse_bands
from mmls_tf.config import TrainConfig
from mmls_tf.data.normalise import Normalisation
from mmls_tf.errors import UsageError
from mmls_tf.models.cost import model_cost
from mmls_tf.models.encoders.table import ENCODERS, encoder_named
from mmls_tf.models.pyramid import Encoder, EncoderRequest
from mmls_tf.models.registry import DECODERS, build_model, tile_multiple
from mmls_tf.models.spec import ModelSpec

_MODEL_COLUMNS = ("parameters", "MACs", "tile: multiple of", "logits at stride")


def print_decoders() -> None:
    """Prints one line a decoder."""
    print("Decoders (--model)")
    widths = (16, 13, 18)
    _print_row(widths, ("name", "title", "source", "output stride of the encoder"))
    for name, decoder in DECODERS.items():
        stride = str(decoder.output_stride or "its own")
        _print_row(widths, (name, decoder.title, decoder.source, stride))


def print_encoders(bands: int, filters: int, tile_size: int) -> None:
    """Prints one line an encoder, with the cost of the encoder alone; a missing library is said in its line."""
    print("\nEncoders (--encoder)")
    widths = (20, 20, 14, 11, 13)
    _print_row(widths, ("name", "made by", "strides", "ImageNet", "parameters", "MACs"))
    for name, encoder in ENCODERS.items():
        strides = " ".join(map(str, encoder.strides))
        facts = (name, encoder.source, strides, "weights" if encoder.imagenet else "-")
        request = EncoderRequest("encoder", tile_size, bands, filters)
        _print_row(widths, (*facts, *_attempt(_encoder_cells, encoder, request)))


def print_configurations(folder: Path, tile_size: int) -> None:
    """Prints one line a configuration file, with the cost of its model.

    Raises:
      UsageError: a file gives a value that training would refuse.
    """
    print("\nConfigurations (--flagfile)")
    files = sorted(folder.glob("*.flags"))
    if not files:
        print(f"  none: {folder} holds no *.flags file; give their folder with --configs")
        return
    widths = (34, 34, 12, 10, 19)
    _print_row(widths, ("file", "model", *_MODEL_COLUMNS))
    for path in files:
        spec = read_spec(path, tile_size)
        _print_row(widths, (str(path), _title(spec), *_attempt(_model_cells, spec)))


def print_models(decoder: str, encoder: str, bands: str, filters: int, tile_size: int) -> None:
    """Prints one line for each model of a decoder, over an encoder; an empty name stands for all.

    Raises:
      UsageError: there is no such decoder or encoder.
    """
    if decoder and decoder not in DECODERS:
        raise UsageError(f"--model={decoder}: expected one of {', '.join(DECODERS)}")
    encoders = [encoder_named(encoder).name] if encoder else list(ENCODERS)
    chosen = tuple(BAND_NAMES[index] for index in parse_bands(bands))
    widths = (38, 12, 10, 19)
    print("Models")
    _print_row(widths, ("model", *_MODEL_COLUMNS))
    for model in [decoder] if decoder else DECODERS:
        for name in encoders:
            spec = ModelSpec(model, name, filters, tile_size, chosen)
            _print_row(widths, (_title(spec), *_attempt(_model_cells, spec)))


def read_spec(path: Path, tile_size: int) -> ModelSpec:
    """Returns the architecture that a configuration file asks for, the defaults of training where it says nothing.

    Raises:
      UsageError: a value is none that training takes.
    """
    text = path.read_text(encoding="utf-8")
    given: dict[str, Any] = dict(
        re.findall(
            r"^--(model|encoder|filters|fusion|bands|context|context_from|context_masks|derive)=(\S+)\s*$",
            text,
            re.MULTILINE,
        )
    )
    for name in {"filters", "context"} & given.keys():
        if not given[name].isdigit():
            raise UsageError(f"{path}: --{name}={given[name]}: expected a number")
        given[name] = int(given[name])
    given["full_skip"] = bool(re.search(r"^--full_skip(=true)?\s*$", text, re.MULTILINE))
    config = TrainConfig(**given)
    bands = parse_bands(config.bands)
    # What units bands have changes no cost.
    return ModelSpec.of(config, tile_size, Normalisation(bands, (0.0,) * len(bands), (1.0,) * len(bands)))


def _title(spec: ModelSpec) -> str:
    extras = [] if spec.fusion == "none" else [spec.fusion]
    extras += ["full skip"] * spec.full_skip
    extras += [f"{spec.filters} filters"] * (spec.filters != TrainConfig.filters)
    return ", ".join([f"{spec.decoder} on {spec.encoder}", *extras])


def _attempt(cells: Callable[..., Sequence[str]], *of: Any) -> Sequence[str]:
    """Says in place of a cost why there is none, such as a library that is not installed."""
    try:
        return cells(*of)
    except UsageError as error:
        return (f"not available: {error}",)


def _encoder_cells(encoder: Encoder, request: EncoderRequest) -> Sequence[str]:
    return _cost_cells(encoder.build(request))


def _model_cells(spec: ModelSpec) -> Sequence[str]:
    model = build_model(spec, "float32", 0)
    multiple = tile_multiple(DECODERS[spec.decoder], ENCODERS[spec.encoder])
    logits = spec.tile_size // model.get_layer("logits").output.shape[1]
    return (*_cost_cells(model), str(multiple), str(logits))


def _cost_cells(model: keras.Model) -> Sequence[str]:
    cost = model_cost(model)
    return (f"{cost.parameters / 1e6:.2f} M", f"{cost.macs / 1e9:.2f} G")


def _print_row(widths: Sequence[int], cells: Sequence[str]) -> None:
    """Prints cells in columns; the last one takes what is left of the line."""
    padded = [f"{cell:<{width - 2}}  " for cell, width in zip(cells[:-1], widths, strict=False)]
    print("  " + "".join([*padded, cells[-1]]), flush=True)
