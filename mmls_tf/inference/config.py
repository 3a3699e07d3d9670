"""The configuration of a map."""

from __future__ import annotations

from dataclasses import dataclass

from mmls_tf.bands import BAND_NAMES
from mmls_tf.config import BACKENDS, WEIGHTS, WEIGHTS_HELP
from mmls_tf.entry import option
from mmls_tf.errors import UsageError
from mmls_tf.inference.inventory import InventoryOptions
from mmls_tf.inference.plan import MAX_OVERLAP
from mmls_tf.prediction.missing import parse_missing
from mmls_tf.prediction.symmetry import SYMMETRIES
from mmls_tf.prediction.threshold import check_threshold
from mmls_tf.raster.scene import parse_order


@dataclass(frozen=True)
class PredictConfig:
    """Which scene to predict with which run, into which folder. Every field is a flag of `mmls_tf.predict`."""

    run: str = option(None, "Run folder made by mmls_tf.train, or light, which comes with the package.")
    scene: str = option(
        None,
        "GeoTIFF of the seven bands, of any size; or several, or folders of tiles, joined by commas: they are put "
        "together by their georeference. Or a file a band, NAME=PATH or NAME=PATH:N (band N of it), joined by commas: "
        "they are brought onto the grid of dem; slope may be left out, and is then derived from dem.",
    )
    out: str = option(
        None,
        "Folder of the map: probability.tif, mask.tif, landslides.gpkg, quicklook.png, map.html, prediction.json.",
    )
    ensemble: str = option(
        "", "Run folders, joined by commas, whose probabilities are averaged with those of --run."
    )
    weights: str = option("auto", WEIGHTS_HELP, WEIGHTS)
    tta: str = option(
        "none",
        "Average over symmetries of the square: none, flips (four) or d4 (all eight).",
        tuple(SYMMETRIES),
    )
    threshold: str = option(
        "0.5",
        "Probability above which a pixel is landslide: a number in (0, 1), or val: what `mmls_tf.evaluate "
        "--split=val` with the same --weights, --ensemble, --tta and --missing has chosen.",
    )
    tile: int = option(0, "Height and width of a window in pixels; 0: the tile size of the run.")
    overlap: float = option(0.5, "Share of a window that the next one covers too, 0 to 0.9.")
    batch: int = option(16, "Windows a forward pass.")
    mapped: str = option(
        "",
        "Masks of what is mapped already, for a run with --context_masks: GeoTIFFs of 0, 1 and 255 (unknown), or "
        "folders of such tiles, joined by commas. Every window is told those around it.",
    )
    missing: str = option(
        "",
        "Bands to be treated as missing, named as in --bands; a model trained with --band_dropout copes best.",
    )
    min_area_km2: float = option(0.0, "Drop landslides smaller than this; 0: none.")
    fill_holes_km2: float = option(0.0, "Fill holes in landslides that are smaller than this; 0: none.")
    simplify_m: float = option(
        0.0, "By how many metres outlines of polygons may leave the edges of pixels; 0: they follow them."
    )
    resample: bool = option(False, "Bring pixels of another size to the 232 m of training (bilinear).")
    order: str = option(
        "",
        f"Band order of the scene, comma-separated out of {', '.join(BAND_NAMES)}; empty: its band descriptions "
        "if they are such names, else the challenge's order.",
    )
    check_order: bool = option(
        True, "Check the order of bands by their values and by slope = Horn(elevation)."
    )
    drivers: str = option("GTiff", "GDAL drivers that may open the scene, joined by commas.")
    backend: str = option(
        "auto",
        "What Keras computes with, whatever the run was trained with. auto: what KERAS_BACKEND says, or else "
        "TensorFlow.",
        ("auto", *BACKENDS),
    )
    resume: bool = option(
        False, "Go on with an interrupted prediction in --out; starts one where there is none."
    )
    overwrite: bool = option(False, "Replace what is in --out, finished or interrupted.")

    def __post_init__(self) -> None:
        for name in ("run", "scene", "out"):
            if not getattr(self, name):
                raise UsageError(f"--{name}: expected a path, found nothing")
        if self.batch < 1:
            raise UsageError(f"--batch={self.batch}: expected 1 or more")
        if self.tile < 0:
            raise UsageError(f"--tile={self.tile}: expected 0 (the tile size of the run) or more")
        if not 0.0 <= self.overlap <= MAX_OVERLAP:
            raise UsageError(f"--overlap={self.overlap}: expected a share from 0 to {MAX_OVERLAP}")
        if self.missing:
            parse_missing(self.missing)
        if self.resume and self.overwrite:
            raise UsageError("--resume, --overwrite: expected one of them, found both")
        check_threshold(self.threshold)
        parse_order(self.order)
        assert self.inventory  # checks its own values

    @property
    def inventory(self) -> InventoryOptions:
        """What becomes of the parts of the map."""
        return InventoryOptions(self.min_area_km2, self.fill_holes_km2, self.simplify_m)

    @property
    def runs(self) -> tuple[str, ...]:
        """The run itself, and the others of the ensemble."""
        return (self.run, *(name.strip() for name in self.ensemble.split(",") if name.strip()))
