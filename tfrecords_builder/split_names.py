"""The names under which the four splits circulate, and where in a download they lie."""

from __future__ import annotations

from pathlib import Path

from mmls_tf.errors import UsageError
from mmls_tf.raster.listing import IMAGE_FOLDERS, MASK_FOLDERS, folders_in, plain_name
from mmls_tf.schema import SPLITS

# Compared without regard to case, and with `-` and blanks as `_`.
SPLIT_NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training", "train_partition", "training_partition"),
    "val": ("val", "valid", "validation", "val_partition", "valid_partition", "validation_partition"),
    "test": ("test", "testing", "test_partition", "testing_partition"),
    "isolated": (
        "isolated", "isolated_test", "test_isolated", "isolated_region", "isolated_partition",
        "isolated_test_partition",
    ),
}  # fmt: skip
PHASE_FOLDERS = ("phase1_dataset", "phase2_dataset")
_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_names_help() -> str:
    """Returns the table of folder names as one line for `--help`."""
    names = "; ".join(f"{split}: {', '.join(names[1:])}" for split, names in SPLIT_NAMES.items())
    return (
        f"Split folders may also be called by other names ({names}), and lie in {' and '.join(PHASE_FOLDERS)}, as the "
        f"challenge hands them out. In each: {IMAGE_FOLDERS[0]}/ and, where labelled, {MASK_FOLDERS[0]}/ (or "
        f"{', '.join((*IMAGE_FOLDERS[1:], *MASK_FOLDERS[1:]))})."
    )


def split_of(name: str) -> str | None:
    """Returns the split that a folder of this name holds, None if it is no name of a split."""
    return _SPLIT_OF.get(plain_name(name))


def find_split_folders(src: Path) -> dict[str, list[Path]]:
    """Returns the folders of each split under `src`, in the order of `SPLITS`, sorted by name.

    Raises:
      UsageError: `src` is no folder, or holds no train split.
    """
    if not src.is_dir():
        raise UsageError(f"--src={src}: expected a folder with {', '.join(SPLITS)} in it, found none")
    inside = folders_in(src)
    for phase in [path for path in inside if plain_name(path.name) in PHASE_FOLDERS]:
        inside += folders_in(phase)
    found = {split: [path for path in inside if split_of(path.name) == split] for split in SPLITS}
    if not found["train"]:
        names = ", ".join(sorted(path.name for path in src.iterdir())[:8]) or "nothing"
        raise UsageError(
            f"--src={src}: expected a folder `train` (with `images` and `masks`) in it, found {names}"
        )
    return {split: folders for split, folders in found.items() if folders}
