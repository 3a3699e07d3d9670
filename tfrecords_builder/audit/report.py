"""An audit as text and as a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmls_tf.schema import Place
from tfrecords_builder.audit.findings import Audit, Overlap, split_of

_SHOWN = 12
# Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
_COLOURS = {"train": "#0072b2", "val": "#e69f00", "test": "#009e73", "isolated": "#cc79a7"}


def audit_text(audit: Audit) -> str:
    """Returns the findings as one screen."""
    lines = [f"{'split':<10}{'tiles':>7}{'placed':>8}{'touch train':>13}{'overlap train':>15}"]
    lines += [
        f"{contact.split:<10}{contact.tiles:>7}{contact.placed:>8}"
        f"{_share(contact.touching_train, contact.placed):>13}{_share(contact.overlapping_train, contact.placed):>15}"
        for contact in audit.contacts
    ]
    lines += _overlap_lines("overlaps between splits", audit.overlaps_across)
    lines += _overlap_lines("overlaps inside a split", audit.overlaps_within)
    lines.append(f"duplicates by content: {len(audit.duplicates)}")
    lines += [
        f"  {pair.one} = {pair.other}"
        if pair.exact
        else f"  {pair.one} ~ {pair.other} (they differ by {pair.difference:.3f} deviations)"
        for pair in audit.duplicates[:_SHOWN]
    ]
    lines += _more(len(audit.duplicates))
    lines.append(_distance_line(audit))
    lines.append(
        "LEAK: tiles of different splits share pixels or content; scores on them are too good."
        if audit.leaks
        else "No pixels are shared between splits, as far as places are known."
    )
    return "\n".join(lines)


def short_text(audit: Audit) -> str:
    """Returns the findings in a few lines, for the end of a build."""
    unplaced = sum(contact.tiles - contact.placed for contact in audit.contacts)
    parts = [
        f"{contact.split} {contact.touching_train}/{contact.placed} touch train, {contact.overlapping_train} overlap it"
        for contact in audit.contacts
    ]
    lines = ["audit: " + "; ".join(parts)] if parts else []
    if audit.overlaps_within:
        lines.append(f"audit: {len(audit.overlaps_within)} pairs of tiles overlap inside a split")
    if audit.duplicates:
        lines.append(f"audit: {len(audit.duplicates)} pairs of tiles have the same content")
    if unplaced:
        lines.append(f"audit: the place of {unplaced} tiles outside train is not known")
    return "\n".join(lines)


def draw_map(path: Path, places: Mapping[str, Place | None], audit: Audit, tile_size: int) -> None:
    """Draws every tile of known place, coloured by split; tiles that overlap another split have a dark rim."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    known = {key: place for key, place in places.items() if place is not None}
    frames = sorted({place.frame for place in known.values()}) or ["no tile of known place"]
    marked = {key for pair in audit.overlaps_across for key in (pair.one, pair.other)}
    figure = Figure(figsize=(11, 4.6 * len(frames)), layout="constrained")
    for axis, frame in zip(figure.subplots(len(frames), 1, squeeze=False)[:, 0], frames, strict=True):
        axis.set_title(frame)
        axis.set_xlabel("pixels to the east")
        axis.set_ylabel("pixels to the south")
        for key, place in known.items():
            if place.frame == frame:
                axis.add_patch(
                    Rectangle(
                        (place.x, place.y),
                        tile_size,
                        tile_size,
                        facecolor=_COLOURS[split_of(key)],
                        edgecolor="black" if key in marked else "white",
                        linewidth=1.5 if key in marked else 0.4,
                        alpha=0.85,
                    )
                )
        axis.autoscale_view()
        axis.set_aspect("equal")
        axis.invert_yaxis()
    splits = [split for split in _COLOURS if any(split_of(key) == split for key in known)]
    figure.legend(
        handles=[Patch(facecolor=_COLOURS[split], label=split) for split in splits],
        loc="outside upper right",
        ncols=4,
        frameon=False,
    )
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, dpi=110)
    partial.replace(path)


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else "unknown"


def _overlap_lines(title: str, pairs: Sequence[Overlap]) -> list[str]:
    shown = sorted(pairs, key=lambda pair: -pair.share)[:_SHOWN]
    lines = [f"{title}: {len(pairs)}"]
    lines += [f"  {pair.one} and {pair.other} share {pair.share:.1%}" for pair in shown]
    return lines + _more(len(pairs))


def _more(count: int) -> list[str]:
    return [f"  ... and {count - _SHOWN} more, see the JSON"] if count > _SHOWN else []


def _distance_line(audit: Audit) -> str:
    found = audit.isolated_distance
    if found is None:
        return "distance from the isolated region to the rest: not known"
    km = "" if found.km is None else f", {found.km:.1f} km"
    pair = f"{found.isolated} to {found.other}"
    return f"distance from the isolated region to the rest: {found.pixels:.0f} pixels{km} ({pair})"
