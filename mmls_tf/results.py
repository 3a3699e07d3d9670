"""Collects finished runs into one small JSON file: `python -m mmls_tf.results --runs='runs/a,runs/b*' --out=x.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmls_tf.entry import config_from_flags, define_flags, option, run
from mmls_tf.files import write_text
from mmls_tf.reporting.patterns import find_folders
from mmls_tf.sweeping.collection import collect, to_json


@dataclass(frozen=True)
class ResultsConfig:
    """What to collect. Every field is a flag of `python -m mmls_tf.results`."""

    runs: str = option(
        None,
        "Run folders, joined by commas, with * and ? as in a shell; the folder of a sweep stands for its runs.",
    )
    out: str = option(None, "JSON file to write, such as docs/results/NAME.json; an older one is replaced.")


def main() -> None:
    """Collects, writes and says what."""
    config = config_from_flags(ResultsConfig)
    entries = collect(find_folders(config.runs))
    path = Path(config.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, to_json(entries))
    print(f"Written: {config.out}, {len(entries)} run{'s' * (len(entries) > 1)}")


define_flags(ResultsConfig)

if __name__ == "__main__":
    run(main)
