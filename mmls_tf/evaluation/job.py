"""One evaluation job: a run folder, or several, and a split go in, scores come out."""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmls_tf.backend import choose_backend
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.evaluation import ledger
from mmls_tf.evaluation.choice import Choice, choice_of, choose_by, keep_choice
from mmls_tf.evaluation.comparison import compare_runs, gap_to_test, other_counts
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.counting import SplitCounts, count_split
from mmls_tf.evaluation.intervals import spatial_blocks
from mmls_tf.evaluation.pictures import write_gallery
from mmls_tf.evaluation.result import costs, scores
from mmls_tf.evaluation.speed import milliseconds_per_tile
from mmls_tf.evaluation.subsets import write_tiles
from mmls_tf.files import write_json
from mmls_tf.prediction.ahead import ahead
from mmls_tf.prediction.member import Member, load_member, mean_probability, require_fit
from mmls_tf.prediction.tiles import as_dealt, predict_tiles, scoring_input, tiles_to_score
from mmls_tf.schema import LEDGER_NAME
from mmls_tf.training.device import find_device
from mmls_tf.training.machine import describe_machine, find_commit
from mmls_tf.training.run_folder import RunFolder


def evaluate(config: EvaluateConfig, command: str) -> dict[str, Any]:
    """Scores a run on one split, writes what it found into the run folder, and returns the result.

    Raises:
      RunFolderError: a run is missing or has no weights, or that of --against has no such evaluation of its weights.
      DatasetError: the data set does not match its manifest or the run, or the split has no masks.
      UsageError: Keras runs on another backend than `config.backend`, or flags do not fit the run.
    """
    started = time.perf_counter()
    backend = choose_backend(config.backend)
    folder, record = RunFolder.open(Path(config.run))
    dataset = open_dataset(Path(config.data or record.config.data))
    dataset.labelled_split(config.split)
    members = [load_member(Path(run), config.weights, backend, config.missing) for run in config.runs]
    for member in members:
        require_fit(dataset, member)
    verify_splits(dataset, [config.split])
    ledgers: list[Path] = []
    if config.split == "isolated":
        runs = dict.fromkeys(member.folder.ledger for member in members)  # a run given twice looks once
        ledgers = [*runs, dataset.root / "isolated" / LEDGER_NAME]
    ledger.require_writable(ledgers)
    theirs = other_counts(config, dataset) if config.against else None
    dealt = as_dealt(members[0], dataset)
    choice = None if config.split == "val" else choice_of(members, config, dataset)
    counts, choice, threshold = _count(config, members, dealt, choice)
    result = {
        **_head(config, command, members, dealt, counts, choice, threshold),
        **scores(counts, dealt, choice),
        **costs(members, _speed(members, dealt, config)),
    }
    if theirs is not None:
        result["against"] = compare_runs(config, counts, theirs, dataset)
    if ledgers:
        ledger.enter(ledgers, _ledger_entry(result))
        result["isolated_evaluations"] = {
            "of_this_run": ledger.count_entries(ledgers[0]),
            "of_this_data_set": ledger.count_entries(ledgers[-1]),
        }
        result["gap_to_test"] = gap_to_test(folder, result, config)
    result["seconds"] = round(time.perf_counter() - started, 1)  # pictures not counted
    _write(folder, config, members, dealt, counts, threshold, result)
    return dict(json.loads(json.dumps(result)))  # as it stands in the file: pairs are lists there


def _count(
    config: EvaluateConfig, members: Sequence[Member], dataset: Dataset, choice: Choice | None
) -> tuple[SplitCounts, Choice | None, float]:
    """Predicts and counts. On val itself the choice comes from this very pass, which its own threshold then needs
    a second time."""
    threshold = 0.5 if config.threshold == "val" else float(config.threshold)
    if config.threshold == "val" and choice is not None:
        threshold = choice.threshold

    wanted = tiles_to_score(members, dataset, config.split)

    def count(threshold: float) -> SplitCounts:
        predictions = predict_tiles(members, dataset, config.split, config.batch, config.tta, wanted)
        return count_split(ahead(predictions, config.batch), threshold)

    counts = count(threshold)
    if config.split == "val":
        choice = choose_by(counts.histogram, len(counts.tiles), members, dataset)
        keep_choice(choice, Path(config.run), config.variant)
        if config.threshold == "val":
            threshold = choice.threshold
            counts = count(threshold)
    return counts, choice, threshold


def _head(
    config: EvaluateConfig,
    command: str,
    members: Sequence[Member],
    dataset: Dataset,
    counts: SplitCounts,
    choice: Choice | None,
    threshold: float,
) -> dict[str, Any]:
    own, fingerprint = members[0], dataset.manifest.fingerprint
    return {
        "split": config.split,
        "run": str(own.folder.root),
        "run_finished": all(member.folder.finished for member in members),
        "weights": own.weights,
        "weights_sha256": own.sha256,
        "ensemble": [
            {"run": str(member.folder.root), "weights_sha256": member.sha256} for member in members[1:]
        ],
        "tta": config.tta,
        "bands": own.record.config.bands,
        "missing": config.missing,
        "context": own.record.config.context,
        "context_from": own.record.config.context_from,
        "context_masks": own.context_masks,
        "folds": own.record.config.folds,
        "fold": own.record.config.fold,
        "data": str(dataset.root),
        "data_fingerprint": fingerprint,
        "trained_on_this_data_set": all(member.record.fingerprint == fingerprint for member in members),
        "tiles": len(counts.tiles),
        # Tiles whose masks a run was adapted with, and those that overlap them.
        "tiles_left_out": dataset.tiles(config.split) - len(counts.tiles),
        "adapted": own.record.column(fingerprint, config.split),
        "threshold": threshold,
        "threshold_from": "val" if config.threshold == "val" else "given",
        "chosen_on_val": None
        if choice is None
        else {"threshold": choice.threshold, "temperature": choice.temperature, "tiles": choice.tiles},
        "batch": config.batch,
        "config": dataclasses.asdict(config),
        "seed": own.record.config.seed,
        "device": str(find_device()),
        "machine": describe_machine(),
        "commit": find_commit(),
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
    }


def _speed(members: Sequence[Member], dataset: Dataset, config: EvaluateConfig) -> dict[str, float]:
    first = [next(iter(scoring_input(member, dataset, config.split, 1)))["image"] for member in members]
    return milliseconds_per_tile(
        lambda images: mean_probability(members, images, config.tta),
        first,  # type: ignore[arg-type]
    )


def _write(
    folder: RunFolder,
    config: EvaluateConfig,
    members: Sequence[Member],
    dataset: Dataset,
    counts: SplitCounts,
    threshold: float,
    result: dict[str, Any],
) -> None:
    """The JSON file comes last: where it is, the rest is too."""
    folder.evaluations.mkdir(exist_ok=True)
    stem = folder.evaluations / config.name
    result["picture"], result["tiles_file"] = f"{config.name}.png", f"{config.name}.csv"
    entries = {tile.key: tile for tile in dataset.manifest.tiles}
    places = [entries[tile.key].place for tile in counts.tiles]
    groups = spatial_blocks(places, dataset.manifest.tile_size)
    write_tiles(stem.with_name(result["tiles_file"]), counts.tiles, entries, groups.tolist())
    write_gallery(
        stem.with_name(result["picture"]),
        counts.tiles,
        lambda keys: predict_tiles(members, dataset, config.split, config.batch, config.tta, keys),
        threshold,
    )
    write_json(stem.with_name(f"{config.name}.json"), result)


def _ledger_entry(result: dict[str, Any]) -> dict[str, Any]:
    names = ("time", "run", "weights", "weights_sha256", "ensemble", "missing", "tta", "threshold", "data")
    entry = {name: result[name] for name in (*names, "data_fingerprint", "command")}
    return {**entry, "miou": result["labelled_pixels"]["miou"]}
