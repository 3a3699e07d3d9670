"""One adaptation: a run and images of other ground go in, a run for that ground comes out."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.adaptation.config import AdaptConfig, parse_method
from mmls_tf.adaptation.model import copied
from mmls_tf.adaptation.prior import estimate_shift, shift_logits
from mmls_tf.adaptation.self_training import train_on_both
from mmls_tf.adaptation.statistics import adapt_statistics
from mmls_tf.adaptation.target import choose_labelled, masked_but, open_target
from mmls_tf.backend import choose_backend
from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.errors import DatasetError, RunFolderError, UsageError
from mmls_tf.evaluation import ledger
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.histogram import LEVELS, Accumulator, Histogram
from mmls_tf.files import write_text
from mmls_tf.prediction.member import Member, load_member
from mmls_tf.prediction.tiles import as_dealt, predict_tiles
from mmls_tf.schema import LEDGER_NAME, TRAINING_SPLITS, UNKNOWN_LABEL
from mmls_tf.training.adaptation import Adaptation
from mmls_tf.training.run_folder import RunFolder, as_flags

_HALF = LEVELS // 2  # the first code above a probability of one half


@dataclasses.dataclass(frozen=True)
class Sight:
    """What a member says of held-out source tiles and of the target.

    Attributes:
      val: labelled pixels of val by class and probability.
      target: valid pixels of the target by probability, whatever their labels, int64 [65536].
    """

    val: Histogram
    target: np.ndarray[Any, np.dtype[np.int64]]

    def figures(self) -> dict[str, float | None]:
        """Returns val_miou, at a threshold of one half, and target_foreground, the share of pixels above it."""
        (tn, fn), (fp, tp) = (
            self.val.counts[:, part].sum(axis=1).tolist() for part in (slice(_HALF), slice(_HALF, None))
        )
        above, pixels = int(self.target[_HALF:].sum()), int(self.target.sum())
        return {
            "val_miou": Confusion(tp, fp, fn, tn).miou,
            "target_foreground": above / pixels if pixels else None,
        }


def adapt(config: AdaptConfig, command: str) -> Adaptation:
    """Adapts a run, writes the new one, and returns what its record says.

    The figures of an adaptation are `before` and `after`, each with the mIoU on val (source tiles that no weight was
    trained on) and the share of the target's valid pixels that are predicted to be landslide, both at a threshold of
    one half, and what each method has found.

    Raises:
      RunFolderError: the run is missing or not finished.
      DatasetError: a data set is missing, is not that of the run, or does not fit it.
      UsageError: something is at --out, or flags do not go together with the run or the target.
      PriorError: the share of landslides cannot be estimated.
      TrainingError: the loss has become no number.
    """
    backend = choose_backend(config.backend)
    out = Path(config.out)
    if out.exists():
        raise UsageError(
            f"--out={out}: expected a new folder, found something there; give another, or remove it"
        )
    source = load_member(Path(config.run), config.weights, backend)
    if not source.folder.finished:
        raise RunFolderError(f"--run={config.run}: expected a finished run, found no summary.json")
    if source.record.config.context_masks != "none":
        raise UsageError(
            f"--run={config.run}: expected a run that sees images alone, found one of --context_masks="
            f"{source.record.config.context_masks}, which is for tiles among mapped ones; adapt one without"
        )
    home = _open_home(source)
    target = open_target(config, source)
    labelled = choose_labelled(target, config)
    beside = [target.root / "isolated" / LEDGER_NAME] if config.target_split == "isolated" else []
    ledger.require_writable(beside)
    began = time.perf_counter()
    member, sight, found = _apply(config, source, home, target, labelled)
    before = _look(source, home, target, config)
    seconds = round(time.perf_counter() - began, 1)
    adaptation = Adaptation(
        source_run=config.run,
        source_weights=source.weights,
        source_weights_sha256=source.sha256,
        target=config.target,
        target_fingerprint=target.manifest.fingerprint,
        target_split=config.target_split,
        target_tiles=target.tiles(config.target_split),
        methods=parse_method(config.method),
        column="few labels" if labelled else "transductive",
        labelled=labelled,
        seed=config.seed,
        figures={"before": before.figures(), "after": sight.figures(), **found, "seconds": seconds},
    )
    _write(out, config, source, member, adaptation, command)
    if beside:
        ledger.enter([RunFolder(out).ledger, *beside], _ledger_entry(config, adaptation, command))
    return adaptation


def _open_home(source: Member) -> Dataset:
    """Opens the data set that the run was trained on: without it nobody could tell what adaptation costs there."""
    record = source.record
    home = open_dataset(Path(record.config.data))
    if home.manifest.fingerprint != record.fingerprint:
        raise DatasetError(
            f"{home.root}: expected the data set that {source.folder.root} was trained on (fingerprint "
            f"{record.fingerprint[:12]}...), found another ({home.manifest.fingerprint[:12]}...)"
        )
    verify_splits(home, TRAINING_SPLITS)
    return as_dealt(source, home)


def _apply(
    config: AdaptConfig, source: Member, home: Dataset, target: Dataset, labelled: dict[str, str]
) -> tuple[Member, Sight, dict[str, Any]]:
    """Applies the methods in turn; returns what has become of the run, what it says, and what each method found."""
    member, found = copied(source, source.normalisation), dict[str, Any]()
    methods = parse_method(config.method)
    if "statistics" in methods:
        member = adapt_statistics(member, target, config.target_split, config.statistics, config.batch)
        found["statistics"] = {"of": config.statistics}
    if "teacher" in methods:
        member, found["teacher"] = train_on_both(member, home, target, (), config)
    if "finetune" in methods:
        member, found["finetune"] = train_on_both(member, home, target, tuple(labelled), config)
    sight = _look(member, home, target, config)
    if "prior" in methods:
        shift = estimate_shift(sight.val, sight.target)
        shift_logits(member, shift.offset)
        found["prior"] = dataclasses.asdict(shift)
        sight = _look(member, home, target, config)
    return member, sight, found


def _look(member: Member, home: Dataset, target: Dataset, config: AdaptConfig) -> Sight:
    val, there = Accumulator(), Accumulator()
    for tile, probability in predict_tiles([member], home, "val", config.batch):
        val.add(probability, tile.mask)
    for tile, probability in predict_tiles(
        [member], target, config.target_split, config.batch, change=masked_but()
    ):
        # Not the tile's mask: every valid pixel is counted, as if it were background.
        there.add(probability, np.where(tile.valid == 1, 0, UNKNOWN_LABEL).astype(np.uint8))
    return Sight(val.histogram(), there.histogram().background)


def _write(
    out: Path, config: AdaptConfig, source: Member, member: Member, adaptation: Adaptation, command: str
) -> None:
    """Writes the new run under another name first: what is there under its own is whole."""
    record = dataclasses.replace(
        member.record,
        config=dataclasses.replace(source.record.config, run=str(out)),
        adaptation=adaptation,
        command=command,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an adaptation that was interrupted
    try:
        folder = RunFolder.create(partial, record)
        write_text(folder.root / "flags.txt", as_flags(config))
        # There is one model, whatever weights are asked for.
        for which in ("best", "last", *(("ema",) if record.config.ema else ())):
            folder.save_model(member.model, which)
        if source.folder.history.is_file():
            shutil.copyfile(source.folder.history, folder.history)
        folder.write_summary(_summary(source, out, record.config.ema > 0, adaptation))
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _summary(source: Member, out: Path, averaged: bool, adaptation: Adaptation) -> dict[str, Any]:
    """The summary of the source run, with the scores and the time of what was made of it."""
    before, miou = source.folder.read_summary(), adaptation.figures["after"]["val_miou"]
    return {
        **before,
        "config": {**before["config"], "run": str(out)},
        "best_val_miou": miou,
        "last_val_miou": miou,
        "ema_val_miou": miou if averaged else None,
        "seconds": before["seconds"] + adaptation.figures["seconds"],
        "adaptation": dataclasses.asdict(adaptation),
    }


def _ledger_entry(config: AdaptConfig, adaptation: Adaptation, command: str) -> dict[str, Any]:
    return {
        "kind": "adaptation",
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "run": config.out,
        "source_run": adaptation.source_run,
        "methods": adaptation.methods,
        "column": adaptation.column,
        "images": adaptation.target_tiles,
        "labels_of": sorted(adaptation.labelled),
        "data": config.target,
        "data_fingerprint": adaptation.target_fingerprint,
        "command": command,
    }
