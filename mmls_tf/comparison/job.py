"""One comparison: a map and the truth go in, a file of scores comes out."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from mmls_tf.comparison.config import CompareConfig
from mmls_tf.comparison.ground import lay_out, map_file
from mmls_tf.comparison.matching import judge_mapped, judge_truth
from mmls_tf.comparison.overlaps import find_overlaps
from mmls_tf.comparison.result import score
from mmls_tf.errors import UsageError
from mmls_tf.files import write_json

RULES = {
    "found": "a true landslide of whose compared area at least min_overlap is mapped",
    "right": "a mapped landslide of whose compared area at least min_overlap is true",
    "compared": "where the map has data and the truth is known, within the region",
    "judged": "a landslide of which at least half is compared; the others are counted under not_judged",
    "size": "a landslide's whole area: of a true one in recall, of a mapped one in precision",
    "one_to_one": "pairs of judged landslides whose IoU over the compared area is above 0.5",
    "area": "km2 on the Mars sphere of 3396.19 km",
}


def compare(config: CompareConfig, command: str) -> dict[str, Any]:
    """Compares a map with the truth and writes the scores.

    Args:
      command: as typed, for the record.

    Returns:
      What the file holds.

    Raises:
      InputError: map, truth or region cannot be used.
      UsageError: flags that do not go together, or a file in the way.
    """
    out = result_file(config)
    if out.exists() and not config.overwrite:
        raise UsageError(f"--out={out}: expected a name that is free, found a file; --overwrite replaces it")
    if not out.parent.is_dir():
        raise UsageError(f"--out={out}: expected an existing folder to write into, found none")
    with tempfile.TemporaryDirectory(prefix=".comparison-", dir=out.parent) as folder:
        ground = lay_out(config, Path(folder))
        overlaps = find_overlaps(ground)
    truth = judge_truth(ground.truth.places, overlaps, config.min_overlap)
    mapped = judge_mapped(ground.mapped.places, overlaps, config.min_overlap)
    result = {
        "command": command,
        **dataclasses.asdict(config),
        "rules": RULES,
        **score(truth, mapped, overlaps, config.size_limits, ground.beyond),
    }
    write_json(out, result)
    return result


def result_file(config: CompareConfig) -> Path:
    """Returns where the scores go."""
    return Path(config.out) if config.out else map_file(config.map).parent / "comparison.json"
