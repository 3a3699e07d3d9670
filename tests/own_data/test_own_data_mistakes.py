"""A mistake costs one message that names flag or file, what was expected, what was found; and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal
from own_world import (
    LONLAT_WKT,
    ORDER,
    RINGS,
    TRANSFORM,
    WKT,
    relief,
    to_metres,
    write,
    write_polygons,
    write_scene,
)

from mmls_tf.errors import InputError, MmlsError
from mmls_tf.raster.mosaic import open_mosaic
from tfrecords_builder.stack.config import StackConfig
from tfrecords_builder.stack.stack import make_mosaic
from tfrecords_builder.tile.config import TileConfig
from tfrecords_builder.tile.cut import cut_scene

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MOON_WKT = WKT.replace("3396190", "1737400").replace("Mars", "Moon")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, its polygons, single bands, and several files that are no good."""
    root = tmp_path_factory.mktemp("mistakes")
    scene = write_scene(root / "scene.tif", 64, 64)
    write_polygons(root / "slides.gpkg", [to_metres(ring) for ring in RINGS])
    write(root / "three.tif", scene[:3])
    write(root / "nowhere.tif", scene, wkt="")
    write(root / "unplaced.tif", scene, transform=None)
    write(root / "turned.tif", scene, (TRANSFORM[0], 200.0, 100.0, TRANSFORM[3], 100.0, -200.0))
    write(root / "complex.tif", scene, kind=gdal.GDT_CFloat32)
    (root / "text.tif").write_text("no raster")
    (root / "empty.tif").touch()
    (root / "folder").mkdir()
    write(root / "dem.tif", relief(64, 64))
    for name in ("red", "gray"):
        write(root / f"{name}.tif", scene[3], kind=gdal.GDT_Byte)
    write(root / "moon.tif", scene[3], wkt=MOON_WKT)
    write(root / "far.tif", scene[3], (0.0, 232.0, 0.0, 0.0, 0.0, -232.0))
    return root


def tile(world: Path, out: Path, **flags: Any) -> None:
    values = {"scene": world / "scene.tif", "tile_size": 32, "out": out / "raw", **flags}
    cut_scene(
        TileConfig(
            **{name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        )
    )


def stack(world: Path, folder: Path, **flags: Any) -> None:
    names = ("red", "green", "blue", "thermal_inertia", "gray")
    values = {
        "dem": world / "dem.tif",
        **dict.fromkeys(names, world / "red.tif"),
        "out": folder / "m.tif",
        **flags,
    }
    make_mosaic(
        StackConfig(
            **{name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        )
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"tile_size": 4}, "--tile_size=4: expected 8 to"),
        ({"tile_size": 65}, r"--tile_size=65: expected tiles no larger than the scene of 64 x 64"),
        ({"stride": -1}, "--stride=-1: expected 0"),
        ({"min_valid": 1.5}, "--min_valid=1.5: expected a share"),
        ({"order": "dem,slope"}, "--order=dem,slope: expected each of red, green"),
        ({"rescale": "height=1,0"}, "--rescale=height=1,0: expected one of red.*found 'height'"),
        ({"rescale": "dem=1"}, "expected NAME=GAIN,OFFSET, found 'dem=1'"),
        ({"rescale": "dem=0,1"}, "a gain other than 0"),
        ({"rescale": "dem=1,0;dem=2,0"}, "found dem twice"),
        ({"split": "training"}, "--split=training: expected one of train, val, test, isolated"),
        ({"layer": "slides"}, "--layer: expected together with --polygons"),
        ({"polygons_crs": "scene"}, "--polygons_crs: expected together with --polygons"),
        ({"drivers": "GTif"}, "--drivers=GTif: expected names of GDAL's raster drivers"),
        ({"drivers": "GPX"}, "--drivers=GPX: expected names of GDAL's raster drivers"),
        ({"drivers": ","}, "--drivers: expected at least one"),
        ({"scene": ""}, "--scene: expected a path"),
        ({"scene": "absent.tif"}, "absent.tif: expected a raster .*, found no such file"),
        ({"scene": "/vsicurl/x.tif"}, "found no such file"),
        ({"scene": "https://example.org/x.tif"}, "found no such file"),
        ({"scene": "three.tif"}, r"three.tif: expected 7 bands \(thermal_inertia, slope.*found 3"),
        ({"scene": "nowhere.tif"}, "nowhere.tif: expected a coordinate reference system, found none"),
        ({"scene": "unplaced.tif"}, "unplaced.tif: expected a georeferenced raster"),
        ({"scene": "turned.tif"}, "turned.tif: expected rows from west to east"),
        ({"scene": "complex.tif"}, "expected integer or floating-point numbers, found CFloat32"),
        (
            {"scene": "text.tif"},
            "text.tif: expected a raster that GDAL's GTiff driver reads, found .*--drivers",
        ),
        ({"scene": "empty.tif"}, "found an empty file"),
        ({"scene": "folder"}, "folder: expected a raster .*, found a folder"),
        (
            {"polygons": "absent.gpkg"},
            "absent.gpkg: expected polygons .* in a local file, found no such file",
        ),
    ],
)
def test_tile(flags: dict[str, Any], message: str, world: Path, tmp_path: Path) -> None:
    for name in ("scene", "polygons"):
        if flags.get(name) and ":" not in flags[name] and not flags[name].startswith("/"):
            flags = {**flags, name: world / flags[name]}
    with pytest.raises(MmlsError, match=message):
        tile(world, tmp_path, **flags)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"dem": ""}, r"--dem: expected a raster file for each, found nothing"),
        ({"green": "", "blue": ""}, "--green, --blue: expected a raster file"),
        ({"pixel_m": -1.0}, "--pixel_m=-1.0: expected 0"),
        ({"pixel_m": 300.0, "like": "red.tif"}, "--like, --pixel_m: expected one of them"),
        ({"resampling": "mode"}, "--resampling=mode"),
        ({"tiles": "folder"}, "--tiles: expected no --red with it"),
        ({"out": "no/mosaic.png"}, "mosaic.png: expected the name of a GeoTIFF"),
        (
            {"red": "three.tif"},
            r"--red=.*three.tif: expected the number of one of its 3 bands, as in .*three.tif:1",
        ),
        ({"red": "three.tif:4"}, r"three.tif: expected a band 4 for --red, found 3 bands"),
        ({"red": "absent.tif:1"}, "absent.tif: expected a raster .* found no such file"),
        ({"gray": "moon.tif"}, r"moon.tif: expected a CRS on Mars \(radius 3396.2 km\), found .*1737.4 km"),
        ({"dem": "moon.tif"}, "moon.tif: expected a CRS on Mars"),
        ({"like": "moon.tif"}, "moon.tif: expected a CRS on Mars"),
        ({"gray": "nowhere.tif:1"}, "expected a coordinate reference system, found none; --assume_crs"),
        ({"dem": "nowhere.tif:1", "assume_crs": True}, "nowhere.tif: expected a coordinate reference system"),
        ({"gray": "far.tif"}, "far.tif: expected data for gray within x -5.1873e.06 .*, found none"),
        ({"pixel_m": 1e-4}, "expected at most .* pixels, found a grid of"),
    ],
)
def test_stack(flags: dict[str, Any], message: str, world: Path, tmp_path: Path) -> None:
    flags = {
        name: world / value if name in (*ORDER, "like") and value else value for name, value in flags.items()
    }
    with pytest.raises(MmlsError, match=message):
        stack(world, tmp_path, **flags)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_in_the_way_is_left_alone(world: Path, tmp_path: Path) -> None:
    tile(world, tmp_path)
    with pytest.raises(MmlsError, match=r"expected no folder .*raw/train yet, found one"):
        tile(world, tmp_path)
    (tmp_path / "raw/train/images/notes.txt").write_text("mine")
    with pytest.raises(MmlsError, match=r"--overwrite: expected nothing but tiles .*'notes.txt'"):
        tile(world, tmp_path, overwrite=True)
    (tmp_path / "raw/val").write_text("a file")
    with pytest.raises(MmlsError, match="to be a folder, found a file"):
        tile(world, tmp_path, split="val", overwrite=True)
    stack(world, tmp_path)
    with pytest.raises(MmlsError, match=r"m.tif: expected no such file yet"):
        stack(world, tmp_path)
    with pytest.raises(MmlsError, match="expected another file than the sources"):
        stack(world, tmp_path, red=tmp_path / "m.tif", overwrite=True)
    stack(world, tmp_path, overwrite=True)


def test_tiles_that_do_not_fit_together(world: Path, tmp_path: Path) -> None:
    plane = np.zeros((7, 8, 8), np.float32)
    first = write(tmp_path / "a.tif", plane)
    west, north = TRANSFORM[0], TRANSFORM[3]
    for name, array, transform, wkt, message in (
        ("shifted", plane, (west + 100.0, 232.0, 0, north, 0, -232.0), WKT, "expected the pixels of .*a.tif"),
        ("coarse", plane, (west, 464.0, 0, north, 0, -464.0), WKT, "expected the pixels of .*a.tif"),
        ("degrees", plane, TRANSFORM, LONLAT_WKT, "expected the CRS of .*a.tif"),
        ("three", plane[:3], TRANSFORM, WKT, "expected 7 bands, as .*a.tif has, found 3"),
    ):
        path = write(tmp_path / f"{name}.tif", array, transform, wkt)
        with pytest.raises(InputError, match=f"{name}.tif: {message}"):
            open_mosaic([first, path])
    with pytest.raises(MmlsError, match=r"--tiles=.*folder: expected a folder with \*.tif files, found none"):
        make_mosaic(StackConfig(out=str(tmp_path / "m.tif"), tiles=str(world / "folder")))
    (tmp_path / "bands").mkdir()
    write(tmp_path / "bands/x.tif", plane[:3])
    with pytest.raises(MmlsError, match="expected tiles of 7 bands, found tiles of 3"):
        make_mosaic(StackConfig(out=str(tmp_path / "m.tif"), tiles=str(tmp_path / "bands")))


def test_the_commands_exit_with_2_and_one_message(world: Path, tmp_path: Path, command: Command) -> None:
    scene, polygons = world / "scene.tif", world / "slides.gpkg"
    good = command(
        "tfrecords_builder.tile",
        f"--scene={scene}",
        f"--polygons={polygons}",
        f"--out={tmp_path / 'raw'}",
        "--tile_size=32",
    )
    assert good.returncode == 0 and good.stderr == ""
    assert "4 tiles of 32 x 32 written (images and masks)" in good.stdout
    bands = [f"--{name}={scene}:{index}" for index, name in enumerate(ORDER, 1) if name != "slope"]
    good = command("tfrecords_builder.stack", *bands, f"--out={tmp_path / 'mosaic.tif'}")
    assert good.returncode == 0 and good.stderr == ""
    assert "64 rows x 64 columns" in good.stdout
    for words, message in (
        (
            ("tfrecords_builder.tile", f"--scene={world / 'three.tif'}", f"--out={tmp_path / 'x'}"),
            "expected 7 bands",
        ),
        (("tfrecords_builder.tile", f"--out={tmp_path / 'x'}"), "--scene"),
        (("tfrecords_builder.tile", f"--scene={scene}", f"--out={tmp_path / 'x'}", "--edge=wrap"), "--edge"),
        (
            ("tfrecords_builder.stack", f"--dem={scene}:3", f"--out={tmp_path / 'x.tif'}"),
            "--red, --green, --blue",
        ),
    ):
        bad = command(*words)
        assert bad.returncode == 2
        assert message in bad.stderr
        assert "Traceback" not in bad.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mosaic.tif", "raw"]
