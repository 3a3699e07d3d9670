"""Builds a data set: `python -m tfrecords_builder --src raw/ --out data`."""

from __future__ import annotations

import sys

from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.errors import InputError, Issue
from tfrecords_builder.config import BuildConfig

_SOME_WERE_SKIPPED = 3

define_flags(BuildConfig)


def main() -> None:
    """Builds what the flags describe and prints a summary."""
    config = config_from_flags(BuildConfig)
    from tfrecords_builder import audit, build, summary

    if config.dry_run:
        prepared = build.prepare(config)
        results, issues = build.check_only(prepared, config)
        print(summary.plan_text(results, config.split_description, prepared.buffer_tiles))
        if issues:
            raise InputError(sorted(issues, key=str))
        return
    done = build.build(config, command_line())
    print(summary.build_text(done.manifest, done.seconds, done.buffer_tiles, config.out))
    print(audit.short_text(audit.audit_manifest(done.manifest)))
    if done.manifest.skipped:
        issues = [Issue(tile.path, tile.expected, tile.found) for tile in done.manifest.skipped]
        print(summary.skipped_text(issues), file=sys.stderr)
        sys.exit(_SOME_WERE_SKIPPED)


if __name__ == "__main__":
    run(main)
