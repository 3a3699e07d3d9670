"""Looks for leaks between splits: `python -m tfrecords_builder.audit --data=data/`."""

from __future__ import annotations

import json
from pathlib import Path

from mmls_tf.entry import config_from_flags, define_flags, run
from tfrecords_builder.audit.config import AuditConfig

define_flags(AuditConfig)


def main() -> None:
    """Audits what the flags describe, prints the findings, writes them as JSON and as a map."""
    config = config_from_flags(AuditConfig)
    from tfrecords_builder.audit.findings import audit_tiles
    from tfrecords_builder.audit.report import audit_text, draw_map
    from tfrecords_builder.stored import open_stored, stored_contents

    manifest = open_stored(Path(config.data))
    places = {tile.key: tile.place for tile in manifest.tiles}
    contents = stored_contents(Path(config.data), manifest) if config.contents else {}
    found = audit_tiles(places, contents, manifest.tile_size)
    out = Path(config.out or config.data)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / ".audit.json.partial"
    partial.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    partial.replace(out / "audit.json")
    draw_map(out / "audit.png", places, found, manifest.tile_size)
    print(audit_text(found))
    print(f"Written: {out / 'audit.json'} and audit.png")


if __name__ == "__main__":
    run(main)
