"""What chance decides about a training step: integers go in, small NumPy arrays come out.

The seed and the number of the step decide everything, never a thread, a device or what was drawn before. So steps can
be prepared beside one another, a run can go on anywhere, and every way of input does the same.
`mmls_tf.data.augment` applies what is drawn here. Strengths are fixed below; `--augment` chooses what is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mmls_tf.bands import BANDS
from mmls_tf.data.normalise import Normalisation

Draws = dict[str, npt.NDArray[np.generic]]

# Each thing has random numbers of its own, so that switching one on leaves the others as they are.
_STREAMS = ("order", "place", "d4", "optics", "elevation", "noise", "crop", "mosaic", "dropout", "told")
_GAIN = (0.8, 1.25)  # of all optical bands together; each on its own differs by another 5 %
_BAND_GAIN = (0.95, 1.05)
_BIAS = 0.1  # standard deviation in canonical units, in which a band spans about [0, 1]
_GAMMA = (0.75, 1.33)
_ELEVATION_M = 3000.0  # the train tiles span 12 822 m
_NOISE = 0.1  # highest standard deviation in standard deviations of a band
_CROP = (0.6, 1.0)  # share of the side that is enlarged to the whole
_MOSAIC = 0.5  # share of the tiles that are put together from four
_UNTOLD = 0.2  # share of the windows that are told no mask at all, as where nobody has mapped
_UNTOLD_PART = 0.2  # share of the ninths of the others


@dataclass(frozen=True)
class InputConfig:
    """How tiles become batches.

    Attributes:
      augment: names of `mmls_tf.config.AUGMENTATIONS`.
      band_dropout: probability with which each part of each tile is taken away.
      dropped_together: what a part is: "band", or "group", all bands of one of the groups of `mmls_tf.bands`.
      context: pixels of surroundings on every side of a window as large as a tile.
      context_from: whose images they may come from: "split", the tiles of the same split, or "all".
      context_masks: whose masks are told to tiles around them: "none", or "train".
      windows: "tiles", every window is a tile; "anywhere", it lies across the borders of tiles.
    """

    batch: int
    seed: int = 0
    augment: tuple[str, ...] = ()
    band_dropout: float = 0.0
    dropped_together: str = "band"
    context: int = 0
    context_from: str = "split"
    context_masks: str = "none"
    windows: str = "tiles"

    def reach(self, tile_size: int) -> int:
        """Returns how many pixels windows may go beyond their tile."""
        return self.context + (tile_size // 2 if self.windows == "anywhere" else 0)


def draw_tiles(config: InputConfig, step: int, tiles: int) -> npt.NDArray[np.int64]:
    """Returns indices [batch] of train tiles. Every tile is drawn once before any is drawn again."""
    numbers = np.arange(step * config.batch, (step + 1) * config.batch)
    return np.array([_order(config.seed, int(n // tiles), tiles)[n % tiles] for n in numbers])


@lru_cache(maxsize=4)
def _order(seed: int, round_: int, tiles: int) -> npt.NDArray[np.int64]:
    return _random(seed, round_, "order").permutation(tiles)


def draw_offsets(config: InputConfig, step: int, tile_size: int) -> npt.NDArray[np.int64]:
    """Returns pixels [batch, 2] by which windows lie below and to the right of their tiles."""
    if config.windows == "tiles":
        return np.zeros((config.batch, 2), np.int64)
    half = tile_size // 2
    return _random(config.seed, step, "place").integers(-half, half, (config.batch, 2), endpoint=True)


def draw_changes(config: InputConfig, step: int, normalisation: Normalisation, side: int) -> Draws:
    """Returns what `mmls_tf.data.augment.Augmentation` is to do to a batch; a name is there if it is switched on.

    turn       int32 [batch], 0 to 7: one of the symmetries of the square
    gain, bias float32 [batch, bands], in normalised units
    gamma      float32 [batch], the power to which optical bands are raised in canonical units
    noise      float32 [batch], standard deviation
    noise_at   int32 [batch, 2], where in a table of noise it is taken from
    crop       float32 [batch, 3]: row and column of the upper left corner and side of a square, in pixels
    cross      int32 [batch, 2]: row and column where four tiles meet; `side` for one tile alone
    kept       float32 [batch, bands], 0 for a band that is taken away
    told       float32 [batch, 3, 3], 0 for a ninth of the window whose masks are hidden
    """
    draws: Draws = {}
    on = [name for name in _STREAMS if name in config.augment]
    streams = {name: _random(config.seed, step, name) for name in (*on, "dropout")}
    batch = config.batch
    if "d4" in on:
        draws["turn"] = streams["d4"].integers(0, 8, batch).astype(np.int32)
    if "optics" in on or "elevation" in on:
        draws |= _draw_values(streams, batch, normalisation)
    if "noise" in on:
        draws["noise"] = streams["noise"].uniform(0, _NOISE, batch).astype(np.float32)
        draws["noise_at"] = streams["noise"].integers(0, side, (batch, 2)).astype(np.int32)
    if "crop" in on:
        sides = side * streams["crop"].uniform(*_CROP, (batch, 1))
        corners = streams["crop"].uniform(size=(batch, 2)) * (side - sides)
        draws["crop"] = np.concatenate([corners, sides], axis=1).astype(np.float32)
    if "mosaic" in on:
        # Not too near the border: a sliver of a tile teaches nothing.
        cross = streams["mosaic"].integers(side // 4, side - side // 4, (batch, 2))
        alone = streams["mosaic"].uniform(size=(batch, 1)) >= _MOSAIC
        draws["cross"] = np.where(alone, side, cross).astype(np.int32)
    if config.band_dropout:
        draws["kept"] = _draw_kept(streams["dropout"], config, normalisation)
    if config.context_masks != "none":
        draws["told"] = _draw_told(_random(config.seed, step, "told"), batch)
    return draws


def _draw_values(streams: dict[str, np.random.Generator], batch: int, normalisation: Normalisation) -> Draws:
    bands = [BANDS[index] for index in normalisation.bands]
    deviation = np.array(normalisation.std)
    gain, bias = np.ones((batch, len(bands))), np.zeros((batch, len(bands)))
    draws: Draws = {}
    if "optics" in streams:
        random = streams["optics"]
        optical = np.array([band.group == "optical" for band in bands])
        common = _log_uniform(random, _GAIN, (batch, 1))
        gain = np.where(optical, common * random.uniform(*_BAND_GAIN, gain.shape), gain)
        shift = random.normal(0, _BIAS, (batch, 1)) + random.normal(0, _BIAS / 4, bias.shape)
        # (g c + b - mean) / std of a canonical value c, in terms of the normalised one
        bias = np.where(optical, (shift + (gain - 1) * np.array(normalisation.mean)) / deviation, bias)
        draws["gamma"] = _log_uniform(random, _GAMMA, (batch,)).astype(np.float32)
    if "elevation" in streams:
        shift = streams["elevation"].uniform(-_ELEVATION_M, _ELEVATION_M, (batch, 1))
        scale = np.array([band.scale for band in bands]) * deviation
        bias = np.where([band.name == "dem" for band in bands], shift / scale, bias)
    return {**draws, "gain": gain.astype(np.float32), "bias": bias.astype(np.float32)}


def _draw_kept(
    random: np.random.Generator, config: InputConfig, normalisation: Normalisation
) -> npt.NDArray[np.float32]:
    """Each part of each tile goes with the given probability; a tile that would lose every part keeps all.

    This is the modality dropout of Neverova et al. 2016 (arXiv 1501.00102, section 4), in the input.
    """
    bands = [BANDS[index] for index in normalisation.bands]
    names = [band.group if config.dropped_together == "group" else band.name for band in bands]
    parts = sorted(set(names), key=names.index)
    gone = random.uniform(size=(config.batch, len(parts))) < config.band_dropout
    gone &= ~gone.all(axis=1, keepdims=True)
    return 1.0 - gone[:, [parts.index(name) for name in names]].astype(np.float32)


def _draw_told(random: np.random.Generator, batch: int) -> npt.NDArray[np.float32]:
    part = random.uniform(size=(batch, 3, 3)) >= _UNTOLD_PART
    window = random.uniform(size=(batch, 1, 1)) >= _UNTOLD
    return (part & window).astype(np.float32)


def _log_uniform(
    random: np.random.Generator, limits: tuple[float, float], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    low, high = np.log(limits)
    return np.exp(random.uniform(low, high, shape))


def _random(seed: int, step: int, stream: str) -> np.random.Generator:
    return np.random.default_rng([seed, _STREAMS.index(stream), step])
