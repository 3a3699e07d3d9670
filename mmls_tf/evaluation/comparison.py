"""An evaluation beside another: isolated beside test, a run beside a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.data.dataset import Dataset
from mmls_tf.errors import RunFolderError, UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.confusion import Confusion
from mmls_tf.evaluation.counting import SplitCounts
from mmls_tf.evaluation.intervals import paired_bootstrap, spatial_blocks
from mmls_tf.evaluation.subsets import counts_of, read_counts
from mmls_tf.training.run_folder import RunFolder


def gap_to_test(folder: RunFolder, result: dict[str, Any], config: EvaluateConfig) -> dict[str, float] | None:
    """Returns isolated minus test for every metric, None until the same weights were scored on test in the same way."""
    path = folder.evaluations / f"{replace(config, split='test').name}.json"
    if not path.exists():
        return None
    test = json.loads(path.read_text(encoding="utf-8"))
    same = ("weights_sha256", "ensemble", "data_fingerprint", "threshold")
    if any(test[name] != result[name] for name in same):
        return None
    isolated, base = result["labelled_pixels"], test["labelled_pixels"]
    names = Confusion().metrics()
    return {
        name: isolated[name] - base[name]
        for name in names
        if isolated[name] is not None and base[name] is not None
    }


def other_counts(config: EvaluateConfig, dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """Returns the counts of every tile, by key, of the run of --against, to be read before anything is predicted.

    Raises:
      RunFolderError: the run has no evaluation of this name, or one of weights that have changed since.
      UsageError: it is one of another data set.
    """
    # The name of an ensemble is of its own runs; the other run is compared as it is.
    name = replace(config, ensemble="").name
    run, path = RunFolder(Path(config.against)), Path(config.against) / "evaluations" / f"{name}.json"
    counts = read_counts(path.with_suffix(".csv"))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        weights, sha256, fingerprint = (
            str(found[key]) for key in ("weights", "weights_sha256", "data_fingerprint")
        )
        current = hashlib.sha256(run.weights(weights).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{path}: expected an evaluation, found {error}; evaluate that run again"
        ) from error
    if sha256 != current:
        raise RunFolderError(
            f"{path}: expected an evaluation of the run's {weights} weights as they are now, found one of others; "
            "evaluate that run again"
        )
    if fingerprint != dataset.manifest.fingerprint:
        raise UsageError(
            f"--against={config.against}: expected an evaluation of the same data set, "
            f"{dataset.manifest.fingerprint[:8]}, found one of {fingerprint[:8]}"
        )
    return counts


def compare_runs(
    config: EvaluateConfig, counts: SplitCounts, theirs: Mapping[str, tuple[int, ...]], dataset: Dataset
) -> dict[str, Any]:
    """Returns the difference of every metric to that of another run on the same tiles, by a paired bootstrap.

    Args:
      theirs: from `other_counts`.

    Raises:
      UsageError: they are of other tiles.
    """
    keys = [tile.key for tile in counts.tiles]
    if set(theirs) != set(keys):
        raise UsageError(
            f"--against={config.against}: expected an evaluation of the same {len(keys)} tiles, found one of "
            f"{len(theirs)}, {len(set(theirs) & set(keys))} of them of the same name"
        )
    places = {tile.key: tile.place for tile in dataset.manifest.tiles}
    groups = spatial_blocks([places[key] for key in keys], dataset.manifest.tile_size)
    other = np.array([theirs[key] for key in keys], np.int64)
    own = counts_of(counts.tiles)
    return {
        "run": config.against,
        "tiles": paired_bootstrap(own, other, None),
        "blocks": paired_bootstrap(own, other, groups),
    }
