"""Images -> landslide probabilities, with the surroundings that the images of the folder lend one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from mmls_tf.data.ground import lay_ground
from mmls_tf.data.known_mask import with_known
from mmls_tf.errors import DatasetError
from mmls_tf.prediction.member import Member, mean_probability
from mmls_tf.submission.around import NOTHING, Around
from mmls_tf.submission.images import Images

Window = npt.NDArray[np.float32]


def predict_images(
    members: Sequence[Member], images: Images, batch: int, symmetries: str, around: Around = NOTHING
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yields every image's stem with its landslide probability [size, size], in the order of `images.files`.

    Without context, memory does not grow with the number of images. Members that take surroundings from all splits see
    what lies `around` too.

    Raises:
      DatasetError: a probability is NaN.
    """
    windows = zip(*(_windows(member, images, around) for member in members), strict=True)
    stems = iter(images.files)
    while several := list(islice(windows, batch)):
        # The last batch is filled up, so that all have one shape and are compiled once.
        empty = [tuple(np.zeros_like(window) for window in several[0])] * (batch - len(several))
        stacked = [np.stack(column) for column in zip(*several, *empty, strict=True)]
        probabilities = mean_probability(members, stacked, symmetries)
        for stem, probability in zip(islice(stems, len(several)), probabilities, strict=False):
            if np.isnan(probability).any():
                raise DatasetError(
                    f"image {stem}: expected finite logits, found NaN; the weights are damaged"
                )
            yield stem, probability


def _windows(member: Member, images: Images, around: Around) -> Iterator[Window]:
    """Yields the images as a member sees them: float32 [size + 2 context, size + 2 context, bands]."""
    config, normalisation, margin = member.record.config, member.normalisation, member.context
    if not margin:
        for tile in images:
            chosen = tile.image[..., list(normalisation.bands)]
            yield normalisation.apply(chosen, tile.valid.astype(np.float32))
        return
    lent = around if config.context_from == "all" else NOTHING
    ground = lay_ground(
        chain(images, lent),
        {**images.places, **lent.places},
        normalisation,
        images.size,
        margin,
        lambda key: key in images.files,
        None if member.context_masks == "none" else lent.told,
    )
    for stem in images.files:
        yield with_known(*ground.window(stem, -margin, -margin, images.size + 2 * margin), margin)
