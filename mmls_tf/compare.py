"""Compares a map with the truth: `python -m mmls_tf.compare --truth=slides.gpkg --map=map`."""

from __future__ import annotations

from mmls_tf.comparison.config import CompareConfig
from mmls_tf.entry import command_line, config_from_flags, define_flags, run

define_flags(CompareConfig)


def main() -> None:
    """Scores the map that the flags describe, prints the tables and says where the scores are."""
    from mmls_tf.comparison.job import compare, result_file
    from mmls_tf.comparison.screen import comparison_text

    config = config_from_flags(CompareConfig)
    print(comparison_text(compare(config, command_line())))
    print(f"Written: {result_file(config)}")


if __name__ == "__main__":
    run(main)
