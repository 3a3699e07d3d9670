"""Makes a page out of runs: `python -m mmls_tf.report --runs='runs/*' --out=report`."""

from __future__ import annotations

from mmls_tf.entry import command_line, config_from_flags, define_flags, run
from mmls_tf.reporting.job import ReportConfig, write_report


def main() -> None:
    """Reads, writes, and says where the page is."""
    for line in write_report(config_from_flags(ReportConfig), command_line()):
        print(line)


define_flags(ReportConfig)

if __name__ == "__main__":
    run(main)
