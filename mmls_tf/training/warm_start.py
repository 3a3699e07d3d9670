"""`--pretrained`: where the weights come from that the encoders of a new model start with."""

from __future__ import annotations

import json
from pathlib import Path

import keras

from mmls_tf.bands import BAND_NAMES, parse_bands
from mmls_tf.config import TrainConfig
from mmls_tf.errors import UsageError
from mmls_tf.models import pretrained
from mmls_tf.models.channels import channels_of
from mmls_tf.models.encoders.table import encoder_named
from mmls_tf.training.run_folder import RunFolder


def warm_start(model: keras.Model, config: TrainConfig) -> list[str]:
    """Gives the encoders of a model the weights that `--pretrained` names, and returns a line for each.

    Raises:
      UsageError: they cannot be had, or are of another encoder.
      RunFolderError: the run is of another version, or has saved no model.
    """
    lines = []
    bands = _channel_names(config)
    for name, (encoder, own) in pretrained.encoders_of(model, bands).items():
        source = _source(config, name, own)
        variables = pretrained.load_into(encoder, own, source)
        lines.append(
            f"{name}: {variables} variables from {source.title}, of bands {'+'.join(source.bands)} for {'+'.join(own)}"
        )
    return lines


def images_seen(pretrained_from: str) -> dict[str, list[str]]:
    """Returns which splits' images an encoder was taught by before, by fingerprint of their data set.

    Known of files that `mmls_tf.pretrain` made, as long as its `pretrain.json` lies beside them, and of runs.
    """
    path = Path(pretrained_from)
    if (path / "run.json").is_file():
        _, record = RunFolder.open(path)
        seen = {fingerprint: list(splits) for fingerprint, splits in record.images_seen.items()}
        if record.adaptation:
            splits = seen.setdefault(record.adaptation.target_fingerprint, [])
            splits += [split for split in [record.adaptation.target_split] if split not in splits]
        return seen
    beside = path.with_name("pretrain.json")
    if path.suffix != ".keras" or not beside.is_file():
        return {}
    found = json.loads(beside.read_text(encoding="utf-8"))
    return {str(found["data_fingerprint"]): [str(split) for split in found["images"]]}


def _source(config: TrainConfig, name: str, bands: tuple[str, ...]) -> pretrained.Pretrained:
    encoder, path = encoder_named(config.encoder), Path(config.pretrained)
    if config.pretrained == pretrained.IMAGENET:
        return pretrained.from_imagenet(encoder)
    if (path / "run.json").is_file():
        return _from_run(path, config, name)
    if path.is_dir():
        raise UsageError(
            f"--pretrained={path}: expected a run folder made by mmls_tf.train, found no run.json"
        )
    if not path.exists():
        raise UsageError(
            f"--pretrained={path}: expected imagenet, a run folder or a file, found nothing there"
        )
    return pretrained.from_file(path, encoder, bands)


def _from_run(root: Path, config: TrainConfig, name: str) -> pretrained.Pretrained:
    folder, record = RunFolder.open(root)
    if record.config.encoder != config.encoder:
        raise UsageError(
            f"--pretrained={root}: expected a run of --encoder={config.encoder}, found one of "
            f"--encoder={record.config.encoder}"
        )
    encoders = pretrained.encoders_of(folder.load_model("best"), _channel_names(record.config))
    if name not in encoders and "encoder" not in encoders:
        raise UsageError(
            f"--pretrained={root}: expected a run with one encoder or of the same --fusion={config.fusion}, found "
            f"{' and '.join(encoders)}; give --fusion={record.config.fusion}"
        )
    encoder, bands = encoders.get(name) or encoders["encoder"]
    return pretrained.Pretrained(f"run {root}", bands, pretrained.layer_weights(encoder))


def _channel_names(config: TrainConfig) -> tuple[str, ...]:
    bands = tuple(BAND_NAMES[index] for index in parse_bands(config.bands))
    return channels_of(bands, config.derive, config.context_masks != "none")
