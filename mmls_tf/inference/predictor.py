"""Landslide probability of scenes of any size, from arrays or by rows from what does not fit in memory.

predictor = Predictor.load("runs/unet")
probability = predictor.predict(array)
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmls_tf.backend import choose_backend
from mmls_tf.errors import UsageError
from mmls_tf.inference.blending import RowBlender, Sums
from mmls_tf.inference.feed import MappedMask, RowRead, SegmentRead, View, read_windows
from mmls_tf.inference.plan import WindowPlan, plan_windows
from mmls_tf.inference.source import ArraySource, PixelSource
from mmls_tf.models.registry import build_model
from mmls_tf.models.spec import ModelSpec
from mmls_tf.prediction.ahead import ahead
from mmls_tf.prediction.member import Member, load_member, mean_probability
from mmls_tf.raster.layouts import CHALLENGE
from mmls_tf.shipped import find_run

_AHEAD = 2  # batches


@dataclass(frozen=True)
class Checkpoint:
    """Where prediction can be taken up again: at a row of windows, with the sums that earlier ones have left there."""

    index: int
    sums: Sums | None = None


@dataclass(frozen=True)
class FinishedRows:
    """Rows of the map that nothing changes any more.

    Attributes:
      row: the first of them.
      probability: float32 [rows, width], NaN where a band that a run sees has no data.
      windows: how many windows were predicted for them and not for earlier rows.
      seconds: that the networks took for those.
      checkpoint: None where prediction cannot be taken up after them.
    """

    row: int
    probability: npt.NDArray[np.float32]
    windows: int
    seconds: float
    checkpoint: Checkpoint | None


@dataclass(frozen=True)
class Predictor:
    """Runs that are ready to predict scenes together.

    Attributes:
      members: whose probabilities are averaged.
      tile: height and width in pixels of the core of a window.
      overlap: share of a window that the next one covers too.
      batch: windows a forward pass.
      symmetries: none, flips or d4: of the square, averaged over.
    """

    members: tuple[Member, ...]
    tile: int
    overlap: float = 0.5
    batch: int = 16
    symmetries: str = "none"

    @staticmethod
    def load(
        run: str | os.PathLike[str],
        ensemble: Sequence[str | os.PathLike[str]] = (),
        weights: str = "auto",
        symmetries: str = "none",
        tile: int = 0,
        overlap: float = 0.5,
        batch: int = 16,
        missing: str = "",
        backend: str = "auto",
    ) -> Predictor:
        """Loads runs, all with the same flags as `python -m mmls_tf.predict` has.

        Args:
          ensemble: further runs.
          tile: 0 for that of the runs; a fully convolutional network takes others too.
          missing: bands that are not there, named as in `--bands`.

        Raises:
          RunFolderError: a run is missing or has no such weights.
          UsageError: the runs do not go together, or not with the tile or the missing bands; or they are trained on
            values of the older release, whose scaling from raw values is not known.
        """
        chosen = choose_backend(backend)
        members = [load_member(find_run(Path(path)), weights, chosen, missing) for path in (run, *ensemble)]
        sizes = {str(member.folder.root): member.record.tile_size for member in members}
        if not tile and len(set(sizes.values())) > 1:
            found = ", ".join(f"{size} in {name}" for name, size in sizes.items())
            raise UsageError(f"--ensemble: expected runs on tiles of one size, or --tile; found {found}")
        for member in members:
            if member.record.scaling != CHALLENGE.scaling:
                raise UsageError(
                    f"--run={member.folder.root}: expected a run on values scaled as {CHALLENGE.scaling}, found "
                    f"{member.record.scaling}, to which raw values of a scene cannot be brought"
                )
        tile = tile or members[0].record.tile_size
        return Predictor(
            tuple(_of_size(member, tile) for member in members), tile, overlap, batch, symmetries
        )

    @property
    def context(self) -> int:
        """Pixels around a core that the network with the widest view sees."""
        return max(member.context for member in self.members)

    @property
    def seen(self) -> tuple[int, ...]:
        """The canonical bands that some network sees and that are not declared missing."""
        seen = {
            band
            for member in self.members
            for band, std in zip(member.normalisation.bands, member.normalisation.std, strict=True)
            if math.isfinite(std)
        }
        return tuple(sorted(seen))

    def plan(self, height: int, width: int) -> WindowPlan:
        """Returns where the windows over a scene of that size in pixels lie."""
        return plan_windows(height, width, self.tile, self.overlap, self.context)

    def predict(
        self, array: npt.NDArray[np.floating], order: Sequence[str] = CHALLENGE.order
    ) -> npt.NDArray[np.float32]:
        """Predicts a scene in memory.

        Args:
          array: float [rows, columns, 7], raw values as in the challenge's files: metres, degrees and DN; NaN where
            there is no data. Of GDAL's `ReadAsArray()` it is `np.moveaxis(pixels, 0, -1)`.
          order: names of its bands; that of the challenge's files if not given.

        Returns:
          Landslide probability, float32 [rows, columns] in [0, 1]; NaN where a band that a run sees has no data.

        Raises:
          UsageError: an array of another shape, or another order than of the seven bands.
          DatasetError: a network gives no number.
        """
        source = ArraySource(array, order)
        found = [rows.probability for rows in self.predict_rows(source)]
        return np.concatenate(found)

    def predict_rows(
        self, source: PixelSource, checkpoint: Checkpoint | None = None, mapped: MappedMask | None = None
    ) -> Iterator[FinishedRows]:
        """Yields the map from north to south as it is finished; memory is bounded by the width of the scene.

        Args:
          checkpoint: of an earlier prediction of the same scene, to go on from; the rest is then the same, bit for
            bit.
          mapped: masks of what is mapped already, for runs with --context_masks: uint8 of a window, 0, 1 or 255; each
            window is told those around its core, never those in it. None: nothing is.
        """
        plan = self.plan(source.height, source.width)
        batch = min(self.batch, plan.windows)
        views = [
            View(member.normalisation, member.context, member.context_masks != "none")
            for member in self.members
        ]
        start = checkpoint or Checkpoint(0)
        blender = RowBlender(plan, start.index, start.sums)
        valid: dict[int, npt.NDArray[np.bool_]] = {}
        windows, seconds = 0, 0.0

        def finish(last: bool) -> FinishedRows:
            nonlocal windows, seconds
            index = blender.index
            probability = blender.finish_row()
            probability[~valid.pop(index)] = np.nan
            after = Checkpoint(blender.index, blender.overhang.copy()) if last else None
            rows = FinishedRows(plan.band(index)[0], probability, windows, seconds, after)
            windows, seconds = 0, 0.0
            return rows

        for item in ahead(read_windows(source, plan, views, self.seen, batch, start.index, mapped), _AHEAD):
            if isinstance(item, RowRead):
                valid[item.index] = item.valid
            elif isinstance(item, SegmentRead):
                while blender.index < item.stop:
                    yield finish(blender.index + 1 == item.stop)
            else:
                began = time.perf_counter()
                found = mean_probability(self.members, item.images, self.symmetries)
                seconds += time.perf_counter() - began
                for (index, column), probability in zip(item.places, found, strict=False):
                    while blender.index < index:
                        yield finish(False)
                    blender.add(column, probability)
                    windows += 1


def _of_size(member: Member, tile: int) -> Member:
    """Returns a member whose network takes tiles of that size."""
    record = member.record
    if tile == record.tile_size:
        return member
    spec = ModelSpec.of(record.config, tile, record.normalisation)
    try:
        model = build_model(spec, record.precision, record.config.seed)
    except UsageError as error:
        raise UsageError(f"--tile={tile}: {error}") from error
    try:
        model.set_weights(member.model.get_weights())
    except ValueError as error:
        raise UsageError(
            f"--tile={tile}: expected {record.tile_size}, the tile size of {member.folder.root}, whose network has "
            f"weights that depend on it ({error})"
        ) from error
    model.compile(jit_compile=member.model.jit_compile)
    return dataclasses.replace(member, model=model)
