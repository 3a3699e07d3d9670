"""The folder of a map: nothing in it has its final name until all of it is complete.

prediction.json        written last: a folder without it holds no finished map
probability.tif, ...   see `PRODUCTS`
.partial/              an interrupted prediction
  plan.json            what it is of, with which flags
  probability.tif      rows as they are finished, of which the first `rows` of the checkpoint count
  detected.tif         the same above the threshold
  checkpoint.npz       where to go on
  products/            products before they get their names; with prediction.json in it, they are complete
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmls_tf.errors import UsageError
from mmls_tf.files import write_json
from mmls_tf.inference.predictor import Checkpoint

RECORD = "prediction.json"
PRODUCTS = ("probability.tif", "mask.tif", "landslides.gpkg", "quicklook.png", "map.html", RECORD)
_BESIDE = (
    ".aux.xml",
    ".ovr",
    "-wal",
    "-shm",
)  # what other programs leave beside a product, of its old content


@dataclass(frozen=True)
class Progress:
    """What is done of a map.

    Attributes:
      rows: of the scene, finished from the north.
      windows: predicted.
      network_seconds: that the networks took.
      seconds: of work on rows, over all attempts.
      checkpoint: where to go on.
    """

    rows: int
    windows: int
    network_seconds: float
    seconds: float
    checkpoint: Checkpoint


class MapFolder:
    """Names of the files of a map, and the way from a started one to a finished one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.partial = root / ".partial"
        self.probability = self.partial / "probability.tif"
        self.detected = self.partial / "detected.tif"
        self.products = self.partial / "products"
        self._plan = self.partial / "plan.json"
        self._checkpoint = self.partial / "checkpoint.npz"

    def require_free(self, resume: bool, overwrite: bool) -> None:
        """Makes sure that a prediction may be made here with these flags.

        Raises:
          UsageError: says what stands in the way.
        """
        if resume or overwrite:
            return
        if self.started:
            raise UsageError(
                f"--out={self.root}: an interrupted prediction is there already; go on with --resume, start anew with "
                "--overwrite, or give another --out"
            )
        found = [name for name in PRODUCTS if (self.root / name).exists()]
        if found:
            raise UsageError(
                f"--out={self.root}: expected no map there yet, found {', '.join(found)}; give another --out, or "
                "--overwrite"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process, and makes it if need be; the system lets go when the process ends.

        Raises:
          UsageError: another process is predicting there.
        """
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--out={self.root}: expected a folder, found a file")
        made = not self.root.exists()
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise UsageError(
                f"--out={self.root}: another process is predicting there; wait for it, or give another --out"
            ) from error
        finally:
            os.close(handle)
            if made and not any(self.root.iterdir()):
                self.root.rmdir()  # nothing came of it

    @property
    def started(self) -> bool:
        """Whether an interrupted prediction can be gone on with."""
        return self._plan.is_file() or self.complete

    @property
    def finished(self) -> bool:
        """Whether there is a map."""
        return (self.root / RECORD).is_file()

    def record(self) -> dict[str, Any]:
        """Returns what the map says of how it was made."""
        return dict(json.loads((self.root / RECORD).read_text(encoding="utf-8")))

    @property
    def complete(self) -> bool:
        """Whether the products of the interrupted prediction only lack their names."""
        return (self.products / RECORD).is_file()

    def clear(self) -> None:
        """Takes away what an interrupted prediction has left."""
        if self.partial.exists():
            self._clear_but(None)
            self.partial.rmdir()

    def _clear_but(self, kept: Path | None) -> None:
        for path in sorted(self.partial.iterdir(), key=lambda path: path == self._plan):  # its mark last
            if path != kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def require_same(self, plan: dict[str, Any]) -> None:
        """Makes sure that the interrupted, or the finished, prediction here is the one that is asked for.

        Raises:
          UsageError: lists what differs, with both values.
        """
        if self._plan.is_file():
            before = json.loads(self._plan.read_text(encoding="utf-8"))
        else:
            record = (self.products if self.complete else self.root) / RECORD
            before = json.loads(record.read_text(encoding="utf-8"))["plan"]
        now = json.loads(json.dumps(plan))
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if names:
            told = "; ".join(
                f"{name}: {_short(now.get(name))} instead of {_short(before.get(name))}" for name in names
            )
            raise UsageError(
                f"--out={self.root} --resume: expected the runs, the scene and the flags that this map was started "
                f"with, found {told}; give the same, or --overwrite instead of --resume"
            )

    def start(self, plan: dict[str, Any]) -> None:
        """Marks the prediction as one that can be gone on with, once its row files are there."""
        write_json(self._plan, plan)

    def save(self, progress: Progress) -> None:
        """Notes where to go on; the rows before must have been written."""
        sums = progress.checkpoint.sums
        partial = self.partial / ".checkpoint.partial"
        for path in (self.probability, self.detected):
            _sync(path)
        with partial.open("wb") as file:
            np.savez(
                file,
                rows=progress.rows,
                windows=progress.windows,
                network_seconds=progress.network_seconds,
                seconds=progress.seconds,
                index=progress.checkpoint.index,
                sums=np.zeros((0, 0)) if sums is None else sums,
            )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._checkpoint)

    def load(self) -> Progress:
        """Returns where to go on."""
        if not self._checkpoint.is_file():
            return Progress(0, 0, 0.0, 0.0, Checkpoint(0))
        with np.load(self._checkpoint) as stored:
            return Progress(
                int(stored["rows"]),
                int(stored["windows"]),
                float(stored["network_seconds"]),
                float(stored["seconds"]),
                Checkpoint(int(stored["index"]), stored["sums"]),
            )

    def publish(self) -> None:
        """Gives the complete products their names, and takes away those of an older map, its record first.

        A process that is killed meanwhile leaves what the next one needs to end it.
        """
        if not self.complete:
            return
        record = json.loads((self.products / RECORD).read_text(encoding="utf-8"))
        (self.root / RECORD).unlink(missing_ok=True)
        for name in PRODUCTS:
            for ending in _BESIDE:
                (self.root / f"{name}{ending}").unlink(missing_ok=True)
            if name not in record["files"]:
                (self.root / name).unlink(missing_ok=True)
        for name in record["files"]:
            if name != RECORD and (self.products / name).exists():
                (self.products / name).replace(self.root / name)
        self._clear_but(self.products)
        (self.products / RECORD).replace(self.root / RECORD)
        self.clear()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
