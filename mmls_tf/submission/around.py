"""What lies around the images of a submission: tiles of a data set, beside what they lend one another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmls_tf.data.dataset import Dataset, open_dataset, verify_splits
from mmls_tf.data.tiles import Tile, read_tiles
from mmls_tf.errors import UsageError
from mmls_tf.prediction.member import Member, require_fit
from mmls_tf.raster.seams import rims_of, trustworthy
from mmls_tf.schema import TRAINING_SPLITS, Place
from mmls_tf.submission.images import Images

_GRID = "grid "  # frames of places that only names claim


@dataclass(frozen=True)
class Around:
    """Train and val tiles of a data set in the frame of the images.

    Attributes:
      dataset: None for no tiles at all.
      places: by key, SPLIT/STEM, of those whose place is known.
    """

    dataset: Dataset | None
    places: Mapping[str, Place]

    def __iter__(self) -> Iterator[Tile]:
        """Yields the tiles, read anew every time."""
        if self.dataset is not None:
            for split in TRAINING_SPLITS:
                yield from read_tiles(self.dataset, split)

    def told(self, key: str) -> bool:
        """Tells whether the mask of a tile may be shown to those around it."""
        return self.dataset is not None and self.dataset.has(key, "train")


NOTHING = Around(None, {})


def open_around(path: str, members: Sequence[Member], images: Images) -> tuple[Around, Images]:
    """Opens the data set of `--around`, and returns the images with it, less places that its ground does not bear out.

    Names of a grid are taken for those of the grid of its train tiles, as far as elevation goes on between them.

    Raises:
      DatasetError: it is missing, damaged, or does not fit a run.
      UsageError: no run sees what lies around, or places cannot be compared.
    """
    if not any(member.record.config.context_from == "all" and member.context for member in members):
        raise UsageError(
            f"--around={path}: expected a run that sees the surroundings of other splits (--context, "
            "--context_from=all), found none; leave it out"
        )
    dataset = open_dataset(Path(path))
    verify_splits(dataset, TRAINING_SPLITS)
    for member in members:
        require_fit(dataset, member)
    places = {
        tile.key: tile.place
        for tile in dataset.manifest.tiles
        if tile.place and any(dataset.has(tile.key, split) for split in TRAINING_SPLITS)
    }
    found = Around(dataset, places)
    return found, _in_one_frame(path, found, images)


def _in_one_frame(path: str, around: Around, images: Images) -> Images:
    frames = sorted({place.frame for place in around.places.values()})
    ours = sorted({place.frame for place in images.places.values()})
    by_name = [frame for frame in (*frames, *ours) if frame.startswith(_GRID)]
    if len(frames) == len(ours) == 1 and len(by_name) == 2:
        return _on_the_grid(frames[0], around, images)
    if ours and frames != ours:
        raise UsageError(
            f"--around={path}: expected tiles in the frame of the images, {', '.join(ours)}, found "
            f"{', '.join(frames) or 'none of known place'}; convert tiles of the same form as the images"
        )
    return images


def _on_the_grid(frame: str, around: Around, images: Images) -> Images:
    places = {stem: dataclasses.replace(place, frame=frame) for stem, place in images.places.items()}
    rims = {
        tile.key: rims_of(tile.image)
        for source in (images, around)
        for tile in source
        if _placed(tile, images, around)
    }
    borne_out = trustworthy({**around.places, **places}, rims, images.size)
    left = {stem: place for stem, place in places.items() if stem in borne_out}
    doubtful = sorted({*images.doubtful, *(places.keys() - left.keys())})
    return dataclasses.replace(images, places=left, doubtful=tuple(doubtful))


def _placed(tile: Tile, images: Images, around: Around) -> bool:
    return tile.key in images.places or tile.key in around.places
