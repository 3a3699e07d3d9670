"""What an adaptation says on the screen."""

from __future__ import annotations

from mmls_tf.training.adaptation import Adaptation

_STATISTICS = {
    "both": "bands and moments of batch normalisation",
    "bands": "bands alone",
    "moments": "moments of batch normalisation alone",
}


def adaptation_text(adaptation: Adaptation) -> str:
    """Returns lines: source, target, what was found, what it costs on source tiles."""
    figures, labelled = adaptation.figures, len(adaptation.labelled)
    used = f"labels of {labelled} of them" if labelled else "images alone"
    lines = [
        f"source     {adaptation.source_run}, {adaptation.source_weights} weights",
        f"target     {adaptation.target}, {adaptation.target_split}: {adaptation.target_tiles} tiles, {used} "
        f"(column: {adaptation.column})",
        f"methods    {' + '.join(adaptation.methods)}, {figures['seconds'] / 60:.1f} min",
    ]
    if "statistics" in figures:
        lines.append(f"statistics {_STATISTICS[figures['statistics']['of']]}, of the target")
    for name in ("teacher", "finetune"):
        if name in figures:
            lines.append(
                f"{name:<10} loss {figures[name]['loss']:.4f}, {figures[name]['confident']:.1%} of target pixels "
                "counted"
            )
    if "prior" in figures:
        prior = figures["prior"]
        lines.append(
            f"prior      {prior['source']:.3f} in val, {prior['target']:.3f} estimated for the target after "
            f"{prior['iterations']} iterations: {prior['offset']:+.3f} on the logits"
        )
    before, after = figures["before"], figures["after"]
    lines.append(
        f"foreground {_share(before['target_foreground'])} of the target predicted before, "
        f"{_share(after['target_foreground'])} after"
    )
    return "\n".join([*lines, _val(before["val_miou"], after["val_miou"])])


def _share(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.1%}"


def _val(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "val mIoU   undefined: val has pixels of one class alone"
    change = after - before
    verdict = "WORSE on held-out source tiles" if change < 0 else "not worse on held-out source tiles"
    return f"val mIoU   {before:.4f} before, {after:.4f} after ({change:+.4f}): {verdict}"
