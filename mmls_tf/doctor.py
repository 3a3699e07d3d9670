"""Says what is installed, what can compute, and what is wrong: `python -m mmls_tf.doctor`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util

from mmls_tf import __version__
from mmls_tf.entry import run
from mmls_tf.errors import MmlsError
from mmls_tf.quiet import load_tensorflow

_NEEDED = ("tensorflow", "keras", "numpy", "absl-py", "matplotlib", "tensorboard", "tqdm")
_OPTIONAL = {
    "gdal": "reads GeoTIFFs: needed by tfrecords_builder",
    "tifffile": "reads the public release: needed by tfrecords_builder",
    "imagecodecs": "reads compressed masks: needed by tfrecords_builder",
    "jax": "the other Keras backend",
}


class DoctorError(MmlsError):
    """Something that training or the builder needs does not work."""


@dataclass(frozen=True)
class Finding:
    """One line of the report; `problem` says what is wrong and what to do, None where all is well."""

    name: str
    text: str
    problem: str | None = None


def examine() -> list[Finding]:
    """Looks at Python, packages, GDAL and devices; nothing that is broken raises."""
    findings = [
        Finding("mmls_tf", __version__),
        Finding("python", f"{platform.python_version()} on {platform.platform()}", _python_problem()),
    ]
    findings += [_package(name, required=True) for name in _NEEDED]
    findings += [_package(name, required=False) for name in _OPTIONAL]
    return [*findings, _attempt("GDAL", _gdal), _attempt("device", _device)]


def report(findings: list[Finding]) -> str:
    """Returns the findings as aligned lines."""
    return "\n".join(f"{finding.name:<14}{finding.text}" for finding in findings)


def _python_problem() -> str | None:
    return None if sys.version_info >= (3, 10) else "Python 3.10 or later is needed"


def _package(name: str, required: bool) -> Finding:
    try:
        return Finding(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        if required:
            return Finding(name, "missing", f"{name} is missing: install it with `pip install {name}`")
        return Finding(name, f"not installed ({_OPTIONAL[name]})")


def _attempt(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # a doctor reports whatever breaks
        return Finding(name, "broken", f"{name}: {error}")


def _gdal() -> Finding:
    if util.find_spec("osgeo") is None:
        return Finding("GDAL", "not installed: training and evaluation need none, building GeoTIFFs does")
    from mmls_tf.raster.geotiff import load_gdal

    gdal = load_gdal()
    compiled = metadata.version("gdal")
    loaded = gdal.VersionInfo("RELEASE_NAME")
    differs = compiled.split(".")[:2] != loaded.split(".")[:2]
    problem = f"GDAL's Python bindings are for {compiled}, libgdal is {loaded}: run `make install` again"
    return Finding("GDAL", f"libgdal {loaded}, bindings {compiled}", problem if differs else None)


def _device() -> Finding:
    load_tensorflow()
    from mmls_tf.training.device import choose_jit, choose_precision, find_device

    device = find_device()
    jit, why_jit = choose_jit("auto", device)
    precision, why_precision = choose_precision("auto", device)
    return Finding(
        "device", f"{device}; XLA {'on' if jit else 'off'} ({why_jit}); {precision} ({why_precision})"
    )


def main() -> None:
    """Prints the report; raises DoctorError where something needed does not work."""
    findings = examine()
    print(report(findings))
    problems = [finding.problem for finding in findings if finding.problem]
    if problems:
        raise DoctorError("this is wrong:\n  " + "\n  ".join(problems))
    print("All is well.")


if __name__ == "__main__":
    run(main)
