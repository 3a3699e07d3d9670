"""Mutated rasters, and a judge of what the readers make of them, run in processes with bounds on memory and time.

    PYTHONPATH=. python tests/input/fuzzing.py --count 20000 --seed 3        # a campaign; prints the outcomes

A file may be refused, by an InputError that names it, or give exactly what an independent reader decodes from the
same bytes: tifffile for what we read through GDAL, GDAL for what we read ourselves or through tifffile.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mutations import mutate

SIZE = 32
MEMORY_BYTES = 3 << 30  # address space, of which the libraries themselves take one
SECONDS = 20
GOOD = ("refused", "equal")


def seeds() -> dict[str, tuple[str, str, bytes]]:
    """Name -> (layout, "image" or "mask", bytes of a sound file)."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 255, (SIZE, SIZE, 7)).astype(np.float32)
    mask = (rng.random((SIZE, SIZE)) < 0.3).astype(np.uint8)
    found = {
        "challenge lzw": (
            "challenge",
            "image",
            _gdal(image, "COMPRESS=LZW", "TILED=YES", "INTERLEAVE=PIXEL"),
        ),
        "challenge plain": ("challenge", "image", _gdal(image, "INTERLEAVE=BAND")),
        "challenge deflate": (
            "challenge",
            "image",
            _gdal(image, "COMPRESS=DEFLATE", "PREDICTOR=3", "BIGTIFF=YES"),
        ),
        "challenge zstd": (
            "challenge",
            "image",
            _gdal(image.astype(np.int16), "COMPRESS=ZSTD", "PREDICTOR=2"),
        ),
        "challenge mask": ("challenge", "mask", _gdal(mask[..., None], "COMPRESS=LZW")),
        "challenge packbits": ("challenge", "mask", _gdal(mask[..., None], "COMPRESS=PACKBITS")),
    }
    scaled = image / 255
    found |= {
        "public": ("public", "image", _pages(scaled)),
        "public big-endian": ("public", "image", _pages(scaled, byteorder=">")),
        "public bigtiff": ("public", "image", _pages(scaled, bigtiff=True)),
        "public lzw": ("public", "image", _pages(scaled, compression="lzw")),
        "public mask": ("public", "mask", _pages(mask, compression="lzw")),
        "v1": ("v1", "image", _pages(scaled)),
        "v1 mask": ("v1", "mask", _pages(mask.astype(np.float32))),
    }
    return found


def _gdal(array: np.ndarray, *options: str) -> bytes:
    from osgeo import gdal, gdal_array

    kind = gdal_array.NumericTypeCodeToGDALTypeCode(array.dtype)
    name = "/vsimem/seed.tif"
    file = gdal.GetDriverByName("GTiff").Create(name, SIZE, SIZE, array.shape[2], kind, list(options))
    file.SetGeoTransform((0.0, 232.0, 0.0, 0.0, 0.0, -232.0))
    file.WriteArray(np.moveaxis(array, -1, 0))
    file = None
    handle = gdal.VSIFOpenL(name, "rb")
    content = bytes(gdal.VSIFReadL(1, gdal.VSIStatL(name).size, handle))
    gdal.VSIFCloseL(handle)
    gdal.Unlink(name)
    return content


def _pages(array: np.ndarray, bigtiff: bool = False, **how: Any) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=bigtiff, byteorder=how.pop("byteorder", "<")) as writer:
        writer.write(array, **how)
    return buffer.getvalue()


def judge(path: Path, layout_name: str, kind: str) -> str:
    """Returns what became of a file: "refused", "equal", or a word for what must not be."""
    from mmls_tf.errors import InputError
    from mmls_tf.raster.layouts import LAYOUTS

    layout = LAYOUTS[layout_name]
    read = layout.read_image if kind == "image" else layout.read_mask
    try:
        found = read(str(path), SIZE, ("GTiff",)).pixels
    except InputError as error:
        return "refused" if {issue.path for issue in error.issues} == {str(path)} else "another file named"
    except MemoryError:
        return "out of memory"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    try:
        expected = (
            _by_tifffile(path, len(found)) if layout_name == "challenge" else _by_gdal(path, len(found))
        )
    except Exception as error:
        return f"the other reader refuses: {str(error)[:80]}"
    same = expected.shape == found.shape and np.array_equal(
        expected, found, equal_nan=found.dtype.kind == "f"
    )
    return "equal" if same else f"different: {found.dtype} {found.shape}, {expected.dtype} {expected.shape}"


def _by_tifffile(path: Path, bands: int) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        array = file.pages[0].asarray().reshape(file.pages[0].shape)
        planar = file.pages[0].planarconfig == 2
    if bands == 1:
        return array.reshape(1, SIZE, SIZE)
    return array if planar else np.moveaxis(array, -1, 0)


def _by_gdal(path: Path, bands: int) -> np.ndarray:
    from osgeo import gdal

    gdal.UseExceptions()
    if bands == 1:
        return gdal.Open(str(path)).ReadAsArray()[None]
    pages = [gdal.Open(f"GTIFF_DIR:{page + 1}:{path}").ReadAsArray() for page in range(SIZE)]
    return np.moveaxis(np.stack(pages), -1, 0)


def work(folder: Path) -> None:
    """Judges the files of `folder` that have no verdict yet, in bounds; a process of its own runs this."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    plan = json.loads((folder / "plan.json").read_text())
    verdicts = folder / "verdicts.txt"
    done = len(verdicts.read_text().splitlines()) if verdicts.exists() else 0
    with verdicts.open("a") as out:
        for name, layout, kind in plan[done:]:
            signal.alarm(SECONDS)  # ends the process, whatever library it is in
            print(judge(folder / name, layout, kind).replace("\n", " "), file=out, flush=True)
            signal.alarm(0)


def campaign(folder: Path, count: int, seed: int) -> list[tuple[str, str, str]]:
    """Writes `count` mutated files, has them judged, and returns (file, seed file, verdict) of each."""
    sound = seeds()
    names = list(sound)
    plan, origins = [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        origin = names[index % len(names)]
        layout, kind, content = sound[origin]
        (folder / f"{index:05d}.tif").write_bytes(mutate(rng, content))
        plan.append((f"{index:05d}.tif", layout, kind))
        origins.append(origin)
    (folder / "plan.json").write_text(json.dumps(plan))
    verdicts = folder / "verdicts.txt"
    verdicts.unlink(missing_ok=True)
    while True:
        ended = subprocess.run(
            [sys.executable, __file__, "--work", folder],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "CPL_LOG": "/dev/null"},
        )
        judged = verdicts.read_text().splitlines() if verdicts.exists() else []
        if len(judged) >= count:
            break
        word = "hung" if ended.returncode == -signal.SIGALRM else f"died ({ended.returncode})"
        with verdicts.open("a") as out:
            print(f"{word} {ended.stderr.decode(errors='replace')[-200:]!r}", file=out)
    return [
        (name, origin, verdict) for (name, _, _), origin, verdict in zip(plan, origins, judged, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    if args.work:
        work(args.work)
        return
    folder = args.keep or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    results = campaign(folder, args.count, args.seed)
    for verdict, number in collections.Counter(verdict[:60] for _, _, verdict in results).most_common():
        print(f"{number:6d} {verdict}")
    for name, origin, verdict in results:
        if verdict not in GOOD:
            print(folder / name, origin, verdict)


if __name__ == "__main__":
    main()
