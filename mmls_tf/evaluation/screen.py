"""An evaluation result as text for the screen."""

from __future__ import annotations

from typing import Any

METRICS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "iou_landslide": "IoU landslide",
    "iou_background": "IoU background",
    "miou": "mIoU",
}
_GROUND = {"split": "tiles of the same split", "all": "tiles of train, val and test"}


def result_text(result: dict[str, Any]) -> str:
    """Returns the tables of one evaluation, and what has to be said about it."""
    return "\n".join(
        [
            _title(result),
            "",
            *_pooled(result),
            "",
            *_shapes(result),
            *_against(result),
            "",
            *_remarks(result),
        ]
    )


def _title(result: dict[str, Any]) -> str:
    ways = [f"{result['weights']} weights"]
    if result["context"]:
        source = "split" if result["split"] == "isolated" else result["context_from"]
        told = (
            ", with masks of train tiles," if result["context_masks"] != "none" and source != "split" else ""
        )
        ways.append(f"{result['context']} pixels of surroundings{told} from {_GROUND[source]}")
    ways += [f"averaged over {result['tta']}"] if result["tta"] != "none" else []
    ways += [f"with {len(result['ensemble'])} other runs"] if result["ensemble"] else []
    ways += [f"without {result['missing']}"] if result["missing"] else []
    if result["threshold"] != 0.5:
        ways.append(f"threshold {result['threshold']:.4f}, {_where(result)}")
    return (
        f"{result['run']} ({', '.join(ways)}) on split {result['split']} of {result['data']}: "
        f"{result['tiles']} tiles"
    )


def _where(result: dict[str, Any]) -> str:
    return "chosen on val" if result["threshold_from"] == "val" else "as given"


def _pooled(result: dict[str, Any]) -> list[str]:
    gap = result.get("gap_to_test") or {}
    heads = ["all labelled", "95 % over tiles", "95 % over blocks", "mean tile", "median", "valid only"]
    lines = [f"{'':<16}" + "".join(f"{head:>18}" for head in (*heads, *(["gap to test"] if gap else [])))]
    for name, title in METRICS.items():
        cells = [
            _number(result["labelled_pixels"][name]),
            *(_interval(result["intervals"][kind].get(name)) for kind in ("tiles", "blocks")),
            *(_number(result["per_tile"][name][kind]) for kind in ("mean", "median")),
            _number(result["valid_pixels_only"][name]),
            *([f"{gap[name]:+.4f}"] if name in gap else []),
        ]
        lines.append(f"{title:<16}" + "".join(f"{cell:>18}" for cell in cells))
    labelled, valid = (result[name]["pixels"] for name in ("labelled_pixels", "valid_pixels_only"))
    lines.append(
        f"{labelled} pixels are labelled; {valid} of them have data in every band. The tiles lie in "
        f"{result['intervals']['number_of_blocks']} blocks."
    )
    for name, words in (
        ("without_overlapping", "share pixels with a train tile"),
        ("without_touching", "touch one or share pixels with it"),
    ):
        left = result["leaks"][name]
        if left["tiles"] < result["tiles"]:
            lines.append(
                f"{result['tiles'] - left['tiles']} of the {result['tiles']} tiles {words}; mIoU of the other "
                f"{left['tiles']}: {_number(left['miou'])}."
            )
    return lines


def _shapes(result: dict[str, Any]) -> list[str]:
    lines = []
    for radius, found in result["boundary"].items():
        lines.append(
            f"Boundaries within {radius} px: F1 {_number(found['f1'])}, IoU {_number(found['iou'])}."
        )
    before, after = result["calibration"]["before"], result["calibration"]["after"]
    lines.append(
        f"Average precision {_number(result['curve']['average_precision'])}; calibration error (ECE) "
        f"{_number(before['ece'])}"
        + (
            f", Brier score {_number(before['brier'])}; {_number(after['ece'])} and {_number(after['brier'])} at "
            f"temperature {result['calibration']['temperature']:.3f}, chosen on val."
            if after
            else f", Brier score {_number(before['brier'])}."
        )
    )
    heads = ("true", "found", "predicted", "right", "mean IoU")
    lines.append(f"{'landslides':<16}" + "".join(f"{head:>12}" for head in heads))
    for name in (name for name in result["landslides"] if name != "definitions"):
        found = result["landslides"][name]
        cells = [
            str(found["true_landslides"]),
            _number(found["object_recall"]),
            str(found["predicted_landslides"]),
            _number(found["object_precision"]),
            _number(found["mean_iou"]),
        ]
        lines.append(f"{name:<16}" + "".join(f"{cell:>12}" for cell in cells))
    times = ", ".join(
        f"{value:.1f} ms in batches of {batch}" for batch, value in result["milliseconds_per_tile"].items()
    )
    seconds = result["training_seconds"]
    lines.append(
        f"A tile takes {times} ({result['device']}); {result['parameters']:,} parameters, "
        f"{result['macs'] / 1e9:.2f} GMACs"
        + (f"; trained in {seconds / 60:.1f} minutes." if seconds is not None else ".")
    )
    return lines


def _against(result: dict[str, Any]) -> list[str]:
    if "against" not in result:
        return []
    found = result["against"]
    lines = ["", f"Beside {found['run']} on the same tiles:"]
    for name, title in METRICS.items():
        cells = []
        for kind in ("tiles", "blocks"):
            difference = found[kind].get(name)
            if difference:
                cells.append(f"{_interval(difference['interval'])} over {kind} ({_p(difference['p'])})")
        if cells:
            lines.append(f"{title:<16}{found['tiles'][name]['difference']:>+10.4f}  95 % " + ", ".join(cells))
    return lines


def _remarks(result: dict[str, Any]) -> list[str]:
    remarks = []
    if not result["run_finished"]:
        remarks.append("The run is not finished: these are the weights so far.")
    if not result["trained_on_this_data_set"]:
        remarks.append("The run was trained on another data set: its training tiles may be among these.")
    if result["split"] == "val":
        remarks.append(
            "Val chose the best epoch, and the threshold and temperature above: it flatters. Report test."
        )
    if result["split"] == "isolated":
        counts = result["isolated_evaluations"]
        remarks.append(
            f"Entered in the ledger: evaluation {counts['of_this_run']} of this run and "
            f"{counts['of_this_data_set']} of this data set on the isolated split."
        )
        if not result.get("gap_to_test"):
            remarks.append("No gap to test yet: evaluate the same weights with --split=test first.")
    return remarks


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def _interval(limits: tuple[float, float] | None) -> str:
    return "undefined" if limits is None else f"{limits[0]:.4f} to {limits[1]:.4f}"
