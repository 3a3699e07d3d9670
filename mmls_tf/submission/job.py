"""One submission: run folders and a folder of images go in, an archive of masks comes out."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mmls_tf.backend import choose_backend
from mmls_tf.errors import UsageError
from mmls_tf.prediction.member import Member, load_member
from mmls_tf.prediction.threshold import find_threshold
from mmls_tf.raster.pages import load_tifffile
from mmls_tf.raster.raster import ByteArray
from mmls_tf.shipped import find_run
from mmls_tf.submission.archive import require_writable, write_archive
from mmls_tf.submission.around import NOTHING, open_around
from mmls_tf.submission.config import SubmitConfig
from mmls_tf.submission.images import Images, open_images, require_surroundings
from mmls_tf.submission.predict import predict_images

_TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Submission:
    """What was written.

    Attributes:
      layout: of the images.
      foreground_share: of all pixels, predicted as landslide.
      in_surroundings: whether a run saw the surroundings of tiles.
      around: data set that lay around the images; empty: they saw one another alone.
      doubtful: images that were predicted without surroundings, since they are not where their names say.
      sha256: of the archive.
    """

    tiles: int
    layout: str
    threshold: float
    foreground_share: float
    in_surroundings: bool
    around: str
    doubtful: tuple[str, ...]
    sha256: str

    def __str__(self) -> str:
        lines = [
            f"{self.tiles} masks of images in the {self.layout} layout, threshold {self.threshold:.4f}; "
            f"{self.foreground_share:.2%} of the pixels are landslide."
        ]
        if self.in_surroundings:
            lines.append(
                f"Surroundings are those of the images{f' and of {self.around}' if self.around else ' alone'}."
            )
        if self.in_surroundings and self.doubtful:
            lines.append(
                f"{len(self.doubtful)} images are not where their names say, since elevation breaks off there, and "
                f"were predicted without surroundings: {', '.join(self.doubtful)}."
            )
        return "\n".join([*lines, f"SHA-256 {self.sha256}"])


def submit(config: SubmitConfig) -> Submission:
    """Predicts a folder of images and writes the archive of masks.

    Raises:
      RunFolderError: a run is missing or has no such weights.
      InputError: lists every image that cannot be used.
      UsageError: images and runs, names, or flags do not fit one another; the archive is there already.
      DatasetError: a probability is NaN.
    """
    backend = choose_backend(config.backend)
    out = Path(config.out)
    require_writable(out, config.overwrite)
    load_tifffile()  # before the work, not after it
    members = [load_member(find_run(Path(run)), config.weights, backend) for run in config.evaluated.runs]
    threshold = find_threshold(config.threshold, config.evaluated, members, told=bool(config.around))
    size = _tile_size(members)
    images = open_images(config, size)
    _require_scaling(images, members, config.images)
    in_surroundings = any(member.context for member in members)
    if in_surroundings:
        require_surroundings(images, f"--images={config.images}")
    around = NOTHING
    if config.around:
        around, images = open_around(config.around, members, images)
    landslide = 0

    def masks() -> Iterator[tuple[str, ByteArray]]:
        nonlocal landslide
        predictions = predict_images(members, images, config.batch, config.tta, around)
        quiet = not sys.stdout.isatty()
        for stem, probability in tqdm(
            predictions, total=len(images.files), unit="tile", leave=False, disable=quiet, file=sys.stdout
        ):
            mask = (probability > threshold).astype("uint8")
            landslide += int(mask.sum())
            yield mask_name(images.files[stem]), mask

    write_archive(out, masks())
    return Submission(
        len(images.files),
        images.layout.name,
        threshold,
        landslide / (len(images.files) * size**2),
        in_surroundings,
        config.around,
        images.doubtful,
        hashlib.sha256(out.read_bytes()).hexdigest(),
    )


def mask_name(image: Path) -> str:
    """Returns the name of an image's mask: that of the image, ending in .tif if the image is no TIFF."""
    return image.name if image.suffix.lower() in _TIFF_SUFFIXES else f"{image.stem}.tif"


def _tile_size(members: Sequence[Member]) -> int:
    sizes = {str(member.folder.root): member.record.tile_size for member in members}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{size} in {run}" for run, size in sizes.items())
        raise UsageError(f"--ensemble: expected runs on tiles of one size, found {found}")
    return members[0].record.tile_size


def _require_scaling(images: Images, members: Sequence[Member], folder: str) -> None:
    for member in members:
        if member.record.scaling != images.layout.scaling:
            raise UsageError(
                f"--images={folder}: expected bands scaled as {member.record.scaling}, as {member.folder.root} was "
                f"trained on, found {images.layout.scaling} in the {images.layout.name} layout; the two releases are "
                "not to be mixed"
            )
