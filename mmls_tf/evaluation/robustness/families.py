"""The changes that are tried, by family, at graded severities; and those that do not apply to a run's bands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mmls_tf.bands import BAND_NAMES, BANDS, parse_bands
from mmls_tf.data.normalise import Normalisation
from mmls_tf.data.tiles import Tile
from mmls_tf.evaluation.robustness.changes import blurred, coarse, noisy, permuted, regraded

FAMILIES = ("missing", "permuted", "noise", "blur", "resolution", "gain", "bias", "elevation", "isolated")
NOISE_LEVELS = (0.1, 0.25, 0.5, 1.0)
BLUR_SIGMAS_PX = (0.5, 1.0, 2.0, 4.0)
RESOLUTION_FACTORS = (2, 4)
OPTICAL_GAINS = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)
OPTICAL_BIASES_DN = (-40.0, -20.0, 20.0, 40.0)
ELEVATION_OFFSETS_M = (-3000.0, -1500.0, 1500.0, 3000.0, 4500.0, 6000.0)
ISOLATED_SHARES = (0.5, 1.0)
# What the isolated region of MMLSv2 differs by from the train split in the mean: elevation 6068 m against 899 m,
# R, G, B 142, 113, 109 DN against 116, 90, 88. Gray and thermal inertia are the same. Added and not multiplied: only
# means are known of that region, and the spread of red within a tile does not grow with its mean.
ISOLATED_ELEVATION_M = 5170.0
ISOLATED_BRIGHTENING_DN = {"red": 26.0, "green": 23.0, "blue": 21.0}
_SWAPS = (("red", "green"), ("red", "blue"), ("dem", "slope"), ("thermal_inertia", "gray"))
_NO_OPTICS, _NO_ELEVATION = "the run sees no optical band", "the run does not see elevation"

_Bands = tuple[int, ...]


@dataclass(frozen=True)
class Change:
    """One thing done to all tiles.

    Attributes:
      severity: how much of it, in `unit`; None where there is no more or less.
      part: what of the tile it is done to, where a family does the same to several parts.
      apply: what is done to each tile; None: nothing.
      missing: bands, as indices into `BANDS`, for which the run gets its training mean.
    """

    family: str
    name: str
    severity: float | None
    unit: str
    apply: Callable[[Tile], Tile] | None = None
    missing: _Bands = ()
    part: str = ""


@dataclass(frozen=True)
class Unfit:
    """A change that the bands of a run leave without sense, and why."""

    family: str
    name: str
    reason: str


def plan_changes(normalisation: Normalisation, families: Sequence[str]) -> tuple[list[Change], list[Unfit]]:
    """Returns what can be tried on a run, in the order of `FAMILIES`, and what does not apply.

    Args:
      normalisation: of the run; its bands are those that it sees.
      families: names of `FAMILIES`.
    """
    deviations = dict(zip(normalisation.bands, normalisation.std, strict=True))
    found = [item for name in FAMILIES if name in families for item in _PLANNERS[name](deviations)]
    return [item for item in found if isinstance(item, Change)], [
        item for item in found if isinstance(item, Unfit)
    ]


_Plan = Iterator[Change | Unfit]
_Seen = Mapping[int, float]  # the run's bands with their standard deviations


def _missing(seen: _Seen) -> _Plan:
    for index, band in enumerate(BANDS):
        yield _without((index,), band.name, band.title, seen)
    for group in dict.fromkeys(band.group for band in BANDS):
        members = tuple(index for index in parse_bands(group) if index in seen)
        if len(members) == 1:
            reason = f"the same as missing {BANDS[members[0]].title}, all that the run sees of it"
            yield Unfit("missing", f"all {group}", reason)
        else:
            yield _without(members, group, f"all {group}", seen)


def _without(bands: _Bands, name: str, title: str, seen: _Seen) -> Change | Unfit:
    if not bands or any(band not in seen for band in bands):
        return Unfit("missing", title, f"the run does not see {name.replace('_', ' ')}")
    if len(bands) == len(seen):
        return Unfit("missing", title, "the run sees nothing else")
    return Change("missing", title, None, "", missing=bands)


def _permuted(seen: _Seen) -> _Plan:
    for names in _SWAPS:
        one, other = (BAND_NAMES.index(name) for name in names)
        title = f"{BANDS[one].title} and {BANDS[other].title} swapped"
        unseen = [BANDS[band].title for band in (one, other) if band not in seen]
        if unseen:
            yield Unfit("permuted", title, f"the run does not see {' and '.join(unseen)}")
        else:
            swap = partial(permuted, sources={one: other, other: one})
            yield Change("permuted", title, None, "", swap)
    if len(seen) < 3:
        yield Unfit("permuted", "all bands rotated", "the run sees fewer than three bands")
    else:
        bands = list(seen)
        rotation = dict(zip(bands, bands[1:] + bands[:1], strict=True))
        yield Change("permuted", "all bands rotated", None, "", partial(permuted, sources=rotation))


def _noise(seen: _Seen) -> _Plan:
    for level in NOISE_LEVELS:
        apply = partial(noisy, deviations=seen, level=level)
        yield Change("noise", f"noise of {level:g} sd", level, "train sd", apply)


def _blur(seen: _Seen) -> _Plan:
    for sigma in BLUR_SIGMAS_PX:
        apply = partial(blurred, bands=tuple(seen), sigma=sigma)
        yield Change("blur", f"Gaussian of {sigma:g} px", sigma, "px", apply)


def _resolution(seen: _Seen) -> _Plan:
    for factor in RESOLUTION_FACTORS:
        apply = partial(coarse, bands=tuple(seen), factor=factor)
        yield Change("resolution", f"pixels {factor} x {factor}", factor, "px", apply)


def _gain(seen: _Seen) -> _Plan:
    for gain in OPTICAL_GAINS:
        yield _regrade("gain", f"optical x {gain:g}", gain, "factor", _optical((gain, 0.0), seen), _NO_OPTICS)


def _bias(seen: _Seen) -> _Plan:
    for bias in OPTICAL_BIASES_DN:
        yield _regrade("bias", f"optical {bias:+g} DN", bias, "DN", _optical((1.0, bias), seen), _NO_OPTICS)


def _elevation(seen: _Seen) -> _Plan:
    for offset in ELEVATION_OFFSETS_M:
        changes = _only_seen([("dem", (1.0, offset))], seen)
        yield _regrade("elevation", f"elevation {offset:+g} m", offset, "m", changes, _NO_ELEVATION)


def _isolated(seen: _Seen) -> _Plan:
    parts = {
        "R, G, B": (
            list(ISOLATED_BRIGHTENING_DN.items()),
            "the run sees none of R, G, B",
        ),
        "elevation": ([("dem", ISOLATED_ELEVATION_M)], _NO_ELEVATION),
    }
    shifts = {
        name: _only_seen([(band, (1.0, by)) for band, by in shift], seen)
        for name, (shift, _) in parts.items()
    }
    for share in ISOLATED_SHARES:
        for name, shift in shifts.items():
            yield _shift(name, share, shift, parts[name][1])
        absent = next((reason for name, (_, reason) in parts.items() if not shifts[name]), "")
        both = {} if absent else {**shifts["R, G, B"], **shifts["elevation"]}
        yield _shift("both", share, both, absent)


def _shift(name: str, share: float, shift: Mapping[int, tuple[float, float]], absent: str) -> Change | Unfit:
    part = {band: (gain, share * by) for band, (gain, by) in shift.items()}
    title = f"shift of {name}" + ("" if share == 1 else f", {share:.0%}")
    return _regrade("isolated", title, share, "share", part, absent, name)


def _regrade(
    family: str,
    name: str,
    severity: float,
    unit: str,
    changes: Mapping[int, tuple[float, float]],
    absent: str,
    part: str = "",
) -> Change | Unfit:
    if not changes:
        return Unfit(family, name, absent)
    return Change(family, name, severity, unit, partial(regraded, changes=changes), part=part)


def _optical(change: tuple[float, float], seen: _Seen) -> dict[int, tuple[float, float]]:
    return _only_seen([(band.name, change) for band in BANDS if band.group == "optical"], seen)


def _only_seen(
    changes: Iterable[tuple[str, tuple[float, float]]], seen: _Seen
) -> dict[int, tuple[float, float]]:
    by_index = {BAND_NAMES.index(name): change for name, change in changes}
    return {band: change for band, change in by_index.items() if band in seen}


_PLANNERS: dict[str, Callable[[_Seen], _Plan]] = dict(
    zip(
        FAMILIES,
        (_missing, _permuted, _noise, _blur, _resolution, _gain, _bias, _elevation, _isolated),
        strict=True,
    )
)
