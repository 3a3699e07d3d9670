"""One robustness job: a run and a split go in, the score under every change comes out."""

from __future__ import annotations

import dataclasses
import datetime
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mmls_tf.backend import choose_backend
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.counting import TileScore, score_tile
from mmls_tf.evaluation.intervals import bootstrap, paired_bootstrap, spatial_blocks
from mmls_tf.evaluation.robustness.config import RobustnessConfig
from mmls_tf.evaluation.robustness.families import Change, plan_changes
from mmls_tf.evaluation.robustness.plot import draw_curves
from mmls_tf.evaluation.robustness.table import markdown
from mmls_tf.evaluation.subsets import counts_of
from mmls_tf.files import write_json, write_text
from mmls_tf.prediction.member import Member, load_member, require_fit
from mmls_tf.prediction.tiles import as_dealt, predict_tiles, tiles_to_score
from mmls_tf.training.device import find_device
from mmls_tf.training.run_folder import RunFolder

METRIC = "miou"
THRESHOLD = 0.5
_Counts = npt.NDArray[np.int64]


def try_changes(config: RobustnessConfig, command: str) -> dict[str, Any]:
    """Scores a run on a split as it is and under every change, writes what it found into the run folder, returns it.

    Raises:
      RunFolderError: the run is missing or has no such weights.
      DatasetError: the data set does not match its manifest or the run, or the split has no masks.
      UsageError: Keras runs on another backend than `config.backend`.
    """
    backend = choose_backend(config.backend)
    folder, record = RunFolder.open(Path(config.run))
    dataset = open_dataset(Path(config.data or record.config.data))
    dataset.labelled_split(config.split)
    member = load_member(Path(config.run), config.weights, backend)
    require_fit(dataset, member)
    verify_splits(dataset, [config.split])
    dealt = as_dealt(member, dataset)
    changes, unfit = plan_changes(record.normalisation, config.families)
    with _progress((len(changes) + 1) * dealt.tiles(config.split)) as bar:
        clean = _score(member, dealt, config, Change("", "clean", None, ""), bar)
        groups = _groups(clean, dealt)
        base = counts_of(clean)
        rows = []
        for change in changes:
            counts = counts_of(_score(member, dealt, config, change, bar))
            rows.append({**_described(change), **_scores(counts, groups), **_drop(base, counts, groups)})
    result = {
        **_head(config, command, member, dataset, len(clean)),
        "metric": METRIC,
        "intervals_over": "tiles" if groups is None else "blocks",
        "blocks": None if groups is None else len(set(groups.tolist())),
        "clean": _scores(base, groups),
        "changes": rows,
        "not_applicable": [dataclasses.asdict(item) for item in unfit],
    }
    _write(folder, config, result)
    return result


def _progress(total: int) -> tqdm[Any]:
    """A bar with the time left; none where output goes to a file."""
    return tqdm(
        total=total, desc="clean", unit="tile", leave=False, disable=not sys.stdout.isatty(), file=sys.stdout
    )


def _score(
    member: Member, dataset: Dataset, config: RobustnessConfig, change: Change, bar: tqdm[Any]
) -> list[TileScore]:
    bar.set_description_str(change.name)
    normalisation = member.record.normalisation.without(change.missing)
    changed = dataclasses.replace(member, normalisation=normalisation)
    wanted = tiles_to_score([member], dataset, config.split)
    predictions = predict_tiles(
        [changed], dataset, config.split, config.batch, config.tta, wanted, change.apply
    )
    return list(_counted(predictions, bar))


def _counted(
    predictions: Iterable[tuple[Tile, npt.NDArray[np.float32]]], bar: tqdm[Any]
) -> Iterable[TileScore]:
    for tile, probability in predictions:
        bar.update()
        yield score_tile(tile, probability > THRESHOLD)


def _groups(tiles: list[TileScore], dataset: Dataset) -> _Counts | None:
    """Returns the spatial block of each tile; None where there is but one, so that tiles must do."""
    places = {tile.key: tile.place for tile in dataset.manifest.tiles}
    if all(places[tile.key] is None for tile in tiles):
        return None
    groups = spatial_blocks([places[tile.key] for tile in tiles], dataset.manifest.tile_size)
    return groups if len(set(groups.tolist())) > 1 else None


def _described(change: Change) -> dict[str, Any]:
    return {
        "family": change.family,
        "name": change.name,
        "part": change.part,
        "severity": change.severity,
        "unit": change.unit,
    }


def _scores(counts: _Counts, groups: _Counts | None) -> dict[str, Any]:
    confusion = Confusion(*counts.sum(axis=0).tolist())
    return {
        "value": getattr(confusion, METRIC),
        "interval": bootstrap(counts, groups, [METRIC])[METRIC],
        "iou_landslide": confusion.iou_landslide,
        "precision": confusion.precision,
        "recall": confusion.recall,
    }


def _drop(clean: _Counts, counts: _Counts, groups: _Counts | None) -> dict[str, Any]:
    """Returns by how much the metric is lower than without the change; None where that is undefined."""
    values = [getattr(Confusion(*found.sum(axis=0).tolist()), METRIC) for found in (clean, counts)]
    found = paired_bootstrap(clean, counts, groups, [METRIC])[METRIC]
    return {
        "drop": None if None in values else values[0] - values[1],
        "drop_interval": None if found is None else found["interval"],
        "p": None if found is None else found["p"],
    }


def _head(
    config: RobustnessConfig, command: str, member: Member, dataset: Dataset, tiles: int
) -> dict[str, Any]:
    return {
        "split": config.split,
        "run": str(member.folder.root),
        "run_finished": member.folder.finished,
        "weights": member.weights,
        "weights_sha256": member.sha256,
        "tta": config.tta,
        "bands": member.record.config.bands,
        "context": member.record.config.context,
        "data": str(dataset.root),
        "data_fingerprint": dataset.manifest.fingerprint,
        "trained_on_this_data_set": member.record.fingerprint == dataset.manifest.fingerprint,
        "tiles": tiles,
        "threshold": THRESHOLD,
        "batch": config.batch,
        "device": str(find_device()),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
    }


def _write(folder: RunFolder, config: RobustnessConfig, result: dict[str, Any]) -> None:
    """The JSON file comes last: where it is, the rest is too."""
    target = folder.root / "robustness"
    target.mkdir(exist_ok=True)
    draw_curves(target / f"{config.name}.png", result)
    write_text(target / f"{config.name}.md", markdown(result))
    write_json(target / f"{config.name}.json", result)
