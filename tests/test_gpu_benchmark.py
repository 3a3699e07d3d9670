"""Tiles are packed without loss, and a run is trained from them under JAX where TensorFlow is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from test_without_tensorflow import BLOCK

from benchmarks.packing import pack, restore
from mmls_tf.data.dataset import open_dataset, verify_splits
from mmls_tf.errors import DatasetError, UsageError
from mmls_tf.evaluation.config import EvaluateConfig
from mmls_tf.evaluation.job import evaluate
from mmls_tf.training.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
needs_jax = pytest.mark.skipif(util.find_spec("jax") is None, reason="JAX is not installed")


@pytest.fixture(scope="module")
def packed(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The train and val tiles of `built_data` in one file."""
    out = tmp_path_factory.mktemp("packed") / "tiles.npz"
    pack(open_dataset(built_data), ("train", "val"), out)
    return out


def test_the_same_shards_come_out_again_and_no_others(built_data: Path, packed: Path, tmp_path: Path) -> None:
    dataset = restore(packed, tmp_path / "data")
    verify_splits(dataset, ("train", "val"))
    assert dataset.manifest == open_dataset(built_data).manifest
    shards = sorted(path.relative_to(dataset.root) for path in dataset.root.rglob("*.tfrecord"))
    assert {path.parts[0] for path in shards} == {"train", "val"}
    for path in shards:
        assert (dataset.root / path).read_bytes() == (built_data / path).read_bytes()
    assert packed.stat().st_size < sum((built_data / path).stat().st_size for path in shards)


def test_it_is_read_by_numpy_alone(packed: Path) -> None:
    with np.load(packed, allow_pickle=False) as arrays:
        assert arrays["train/image.red.places"].shape == (10, 32 * 32)
        assert arrays["train/image.red.places"].dtype.itemsize <= 2


def test_a_data_set_that_is_there_already_is_opened_and_another_one_refused(
    packed: Path, own_data: Path, tmp_path: Path
) -> None:
    before = restore(packed, tmp_path / "data")
    times = {path: path.stat().st_mtime_ns for path in before.root.rglob("*")}
    assert restore(packed, before.root) == before
    assert times == {path: path.stat().st_mtime_ns for path in before.root.rglob("*")}
    manifest = own_data / "dataset.json"
    manifest.write_text(replace(before.manifest, fingerprint="0" * 64).to_json())
    with pytest.raises(DatasetError, match="expected the data set that was packed"):
        restore(packed, own_data)


def test_a_file_that_is_missing_damaged_or_in_the_way_is_refused(
    built_data: Path, packed: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"none\.npz: expected a file of benchmarks\.packing, found none"):
        restore(tmp_path / "none.npz", tmp_path / "data")
    content = packed.read_bytes()
    for name, damaged in (("short", content[:-2000]), ("other", b"PK" + content[2:40]), ("text", b"tiles")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DatasetError, match=rf"{name}: expected a file of benchmarks\.packing"):
            restore(tmp_path / name, tmp_path / "data")
    assert not (tmp_path / "data" / "dataset.json").exists()
    with pytest.raises(UsageError, match="expected a new file, found one"):
        pack(open_dataset(built_data), ("train", "val"), packed)


def test_tiles_that_are_not_those_of_the_manifest_are_refused(packed: Path, tmp_path: Path) -> None:
    with np.load(packed) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["train/mask.bytes"] = 1 - changed["train/mask.bytes"]
    np.savez(tmp_path / "changed.npz", **changed)
    with pytest.raises(DatasetError, match=r"tiles of train/train-00000.* that differ from those"):
        restore(tmp_path / "changed.npz", tmp_path / "data")


_SMALL = """
from mmls_tf.training import trainer
from tests.small_networks import small_networks
trainer.build_with_auxiliary = small_networks
"""


def benchmark(*words: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the benchmark as its command, in a process that has no TensorFlow."""
    program = (
        "import runpy, sys\nsys.argv[0] = 'gpu'\nrunpy.run_module('benchmarks.gpu', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", f"{BLOCK}\n{before}\n{program}", *map(str, words)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@needs_jax
def test_a_run_is_trained_without_tensorflow_and_is_like_any_other(packed: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    words = ("--filters=2", "--epochs=2", "--batch=5", "--augment=d4+noise", "--ema=0.5")
    timing = ("--steps=2", "--product=64")
    done = benchmark(f"--tiles={packed}", f"--data={data}", f"--run={run}", *words, *timing, before=_SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    for line in ("input      device", "step       ", "training   ", "peak       ", "PyTorch    "):
        assert line in done.stdout
    found = json.loads((run / "gpu.json").read_text())
    assert found["step"] > 0
    assert found["training"] > 0
    assert found["tflops"] == pytest.approx(6 * found["gmacs_per_tile"] * found["step"] / 1000)
    folder, record = RunFolder.open(run)
    assert folder.finished
    assert (record.backend, record.config.input) == ("jax", "device")
    assert f"--tiles={packed}" in record.command
    result = evaluate(EvaluateConfig(run=str(run), split="val"), "a test")
    summary = folder.read_summary()
    assert result["weights"] == "ema"
    assert result["labelled_pixels"]["miou"] == pytest.approx(summary["ema_val_miou"], abs=1e-3)


@needs_jax
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--input=memory",), "--input=memory: expected device"),
        (("--backend=tensorflow",), "--backend=tensorflow: expected jax"),
        (("--context=8", "--context_from=all"), "expected tiles of test for --context_from=all, found none"),
        (("--steps=0",), "--steps=0: expected 1 or more"),
    ],
)
def test_what_it_cannot_do_is_refused(
    packed: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = benchmark(f"--tiles={packed}", f"--data={tmp_path}/data", f"--run={tmp_path}/run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
