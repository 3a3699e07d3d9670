#!/usr/bin/env bash
# Makes a virtual environment with everything that the demo, the tests and the benchmarks use.
# Usage: install.sh PYTHON VENV.  Safe to repeat.
set -euo pipefail
python=$1
venv=$2

say_how_to_get_gdal() {
    cat >&2 <<'MESSAGE'
error: libgdal with its headers (gdal-config) is needed to compile GDAL's Python bindings, and could not
be installed automatically. Install it yourself and run the command again:
  Debian, Ubuntu   sudo apt-get install libgdal-dev g++ python3-dev python3-venv
  conda-forge      conda env create -f environment.yml   (brings GDAL ready-made; no make needed)
  Colab            !apt-get install -y libgdal-dev
Training and evaluation need no GDAL: `pip install .` is enough for them.
MESSAGE
    exit 2
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

have_system_packages() {
    command -v gdal-config >/dev/null && command -v g++ >/dev/null && "$python" -c 'import ensurepip, venv' 2>/dev/null &&
        test -e "$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h"
}

if ! have_system_packages; then
    command -v apt-get >/dev/null || say_how_to_get_gdal
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || say_how_to_get_gdal
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq || say_how_to_get_gdal
    as_root apt-get install -y -qq --no-install-recommends libgdal-dev gdal-bin g++ python3-dev python3-venv \
        >/dev/null || say_how_to_get_gdal
    have_system_packages || say_how_to_get_gdal
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install --upgrade pip
# NumPy must be there before GDAL is compiled, or its bindings come without array support.
"${pip[@]}" install "numpy>=1.26" "setuptools>=68" wheel
gdal_version=$(gdal-config --version)
if ! "$venv/bin/python" -c "
from osgeo import gdal, gdal_array
raise SystemExit(gdal.__version__ != '$gdal_version')" 2>/dev/null; then
    "${pip[@]}" install --no-build-isolation --no-cache-dir --force-reinstall --no-deps "gdal==${gdal_version}.*"
fi
# Seventeen thousand modules, of which few are ever imported: those are compiled when they are.
"${pip[@]}" install --no-compile -e ".[builder,test]"
