"""The import rule: data flows one way, and heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOOR = {
    "backend", "bands", "config", "entry", "errors", "example", "files", "quiet", "schema", "shipped", "tfrecord",
}  # fmt: skip
FILES = sorted([*(ROOT / "mmls_tf").rglob("*.py"), *(ROOT / "tfrecords_builder").rglob("*.py")])
# TensorFlow itself is for input, devices, XLA and export; everything else is Keras and NumPy.
TENSORFLOW_ROOMS = (
    "mmls_tf/data/",
    "mmls_tf/quiet.py",
    "mmls_tf/exporting/",
    "mmls_tf/models/atrous.py",
    "mmls_tf/models/batch_norm.py",
    "mmls_tf/training/compilation.py",
    "mmls_tf/training/device.py",
    "mmls_tf/training/profile.py",
    "mmls_tf/training/strategy.py",
)
# JAX need not be installed, and KerasCV needs TensorFlow, which need not be either for the other models.
JAX_ROOMS = (
    "mmls_tf/backend.py",
    "mmls_tf/training/compilation.py",
    "mmls_tf/training/device.py",
    "mmls_tf/training/lowering.py",
    "mmls_tf/training/profile.py",
    "mmls_tf/training/strategy.py",
)
KERAS_CV_ROOMS = ("mmls_tf/models/encoders/keras_cv.py",)
ROOMS = ("training", "evaluation", "exporting", "inference")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    place = name(path)
    for imported in imports(path):
        parts = imported.split(".")
        if place.startswith("tfrecords_builder/") and parts[0] == "mmls_tf":
            assert parts[1] in FLOOR | {"raster", "__version__"}, f"the builder imports {imported}"
        if place.startswith("mmls_tf/"):
            assert parts[0] != "tfrecords_builder", f"the library imports {imported}"
            here = place.split("/")[1]
            if here in ROOMS and parts[0] == "mmls_tf" and len(parts) > 1 and parts[1] in ROOMS:
                assert parts[1] == here or parts[2] in ("run_folder", "device", "machine"), (
                    f"{here} imports {imported}"
                )
            if here == "comparison" and parts[0] == "mmls_tf" and parts[1] not in FLOOR:
                known = ("comparison", "raster") + (("evaluation",) if parts[2] == "confusion" else ())
                assert parts[1] in known, f"{here} imports {imported}"
            if parts[:2] == ["mmls_tf", "adaptation"]:
                assert here in ("adaptation", "adapt.py"), f"{place} imports {imported}"
            if here.removesuffix(".py") in FLOOR and parts[0] == "mmls_tf":
                assert parts[1] in FLOOR, f"the floor imports {imported}"
        if parts[0] == "tensorflow":
            assert place.startswith(TENSORFLOW_ROOMS), f"TensorFlow is imported by {place}"
        if parts[0] == "jax":
            assert place.startswith(JAX_ROOMS), f"JAX is imported by {place}"
        if parts[0] == "keras_cv":
            assert place.startswith(KERAS_CV_ROOMS), f"KerasCV is imported by {place}"
        if parts[0] in ("osgeo", "tifffile", "imagecodecs"):
            assert place.startswith("mmls_tf/raster/"), f"{parts[0]} is imported by {place}"


def test_the_rule_sees_all_modules() -> None:
    assert len(FILES) > 40


def test_importing_the_packages_loads_neither_tensorflow_nor_keras_nor_gdal() -> None:
    program = (
        "import sys, mmls_tf, mmls_tf.bands, mmls_tf.config, mmls_tf.entry, mmls_tf.schema, tfrecords_builder\n"
        "print({'tensorflow', 'keras', 'osgeo', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("backend", "left_out"),
    [("tensorflow", ("sklearn", "matplotlib.pyplot", "jax")), ("jax", ("sklearn", "matplotlib.pyplot"))],
)
def test_a_command_starts_without_what_it_may_need_later(backend: str, left_out: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from mmls_tf.backend import start_backend\n"
        f"start_backend({backend!r})\n"
        "import keras\n"
        f"loaded = set({left_out!r}) & set(sys.modules)\n"
        f"import {', '.join(left_out)}\n"
        "print(keras.backend.backend(), loaded)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == f"{backend} set()"


@pytest.mark.parametrize(
    "words",
    [
        "evaluate --split=test",
        "robustness --split=test",
        "adapt --target=data --method=statistics --out=out",
        "predict --scene=scene.tif --out=out",
        "export --out=out",
        "submit --images=images --out=out.zip",
    ],
)
def test_a_run_that_is_not_there_is_said_before_tensorflow_starts(words: str, tmp_path: Path) -> None:
    command, *flags = words.split()
    code = (
        "import runpy, sys\n"
        "sys.modules |= {'tensorflow': None, 'keras': None}\n"
        f"runpy.run_module('mmls_tf.{command}', run_name='__main__')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "--run=no/run", *flags],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr == "error: --run=no/run: expected a run folder made by mmls_tf.train, found no run.json\n"
    )
    assert list(tmp_path.iterdir()) == []
