"""Several devices train as one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from mmls_tf.errors import UsageError
from mmls_tf.training.device import Device
from mmls_tf.training.strategy import choose_strategy, worker_number

ROOT = Path(__file__).parents[2]
CPU = Device("CPU", "name", "tensorflow", False)
needs_jax = pytest.mark.skipif(util.find_spec("jax") is None, reason="JAX is not installed")


def start(data: Path, run: Path, backend: str, strategy: str, devices: int, config: str = "") -> Any:
    words = [sys.executable, "-m", "tests.training.strategy_report", data, run, strategy, devices]
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "CUDA_VISIBLE_DEVICES": "-1",
            **({"TF_CONFIG": config} if config else {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: Any) -> tuple[list[dict[str, float]], str]:
    """The history that a process printed, and what it said."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.splitlines()[-1]), out


def assert_alike(some: list[dict[str, float]], others: list[dict[str, float]], tolerance: float) -> None:
    assert len(some) == len(others) == 3
    for one, other in zip(some, others, strict=True):
        for name in ("loss", "miou", "val_miou", "ema_val_miou"):
            assert one[name] == pytest.approx(other[name], abs=tolerance), name


@pytest.fixture(scope="module")
def alone(built_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """The history of one device."""
    return ended(start(built_data, tmp_path_factory.mktemp("one") / "run", "tensorflow", "one", 1))[0]


def test_two_mirrored_devices_train_as_one(
    built_data: Path, tmp_path: Path, alone: list[dict[str, float]]
) -> None:
    history, said = ended(start(built_data, tmp_path / "run", "tensorflow", "mirrored", 2))
    # A mean of two means, which weigh tiles with and without invalid pixels a little differently.
    assert_alike(history, alone, tolerance=0.02)
    assert "mirrored, 2 devices" in said
    assert "batch 4, 2 on each device; --learning_rate is for the whole batch and is not scaled" in said


def test_two_workers_train_as_one(built_data: Path, tmp_path: Path, alone: list[dict[str, float]]) -> None:
    ports = [23000 + os.getpid() % 9000, 33000 + os.getpid() % 9000]
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    processes = [
        start(
            built_data,
            tmp_path / "run",
            "tensorflow",
            "workers",
            1,
            json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in (0, 1)
    ]
    try:
        history, said = ended(processes[0])
        processes[1].communicate(timeout=60)
    finally:
        for process in processes:
            process.kill()
    assert_alike(history, alone, tolerance=0.02)
    assert "workers, 2 devices" in said
    assert (tmp_path / "run" / "summary.json").exists()
    assert (tmp_path / "run.worker1" / "summary.json").exists(), "the other's files are beside the chief's"


@needs_jax
@pytest.mark.slow
def test_two_devices_under_jax_train_as_one(built_data: Path, tmp_path: Path) -> None:
    one, _ = ended(start(built_data, tmp_path / "one", "jax", "one", 1))
    two, said = ended(start(built_data, tmp_path / "two", "jax", "parallel", 2))
    assert_alike(one, two, tolerance=1e-4)
    assert "parallel, 2 devices" in said


def test_one_cpu_is_one_device_and_says_why() -> None:
    strategy = choose_strategy("auto", CPU, 16)
    assert str(strategy) == "one, one device (auto: one CPU)"
    assert strategy.native is None


def test_a_strategy_of_the_other_backend_is_refused() -> None:
    with pytest.raises(
        UsageError, match="--strategy=parallel: expected --backend=jax, found Keras on tensorflow"
    ):
        choose_strategy("parallel", CPU, 16)


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from mmls_tf.training import strategy

    three = strategy.Strategy("mirrored", "a test", 3, 0, nullcontext)
    monkeypatch.setitem(strategy._MAKERS, "mirrored", lambda _: three)
    with pytest.raises(UsageError, match="--batch=16: expected a multiple of the 3 devices"):
        choose_strategy("mirrored", CPU, 16)


def test_workers_without_or_with_a_damaged_tf_config_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UsageError, match="expected the variable TF_CONFIG to name the workers"):
        choose_strategy("workers", CPU, 16)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {}}')
    with pytest.raises(UsageError, match=r"TF_CONFIG=.*expected cluster and task"):
        worker_number()


@pytest.mark.parametrize(
    ("cluster", "task", "number"),
    [("worker", "worker", 0), ("chief", "chief", 0), ("chief", "worker", 1)],
)
def test_the_chief_is_worker_zero(
    monkeypatch: pytest.MonkeyPatch, cluster: str, task: str, number: int
) -> None:
    config = {"cluster": {cluster: ["a:1"], "worker": ["b:1"]}, "task": {"type": task, "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert worker_number() == number


def test_a_tpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="--strategy=tpu: expected a TPU, found none"):
        choose_strategy("tpu", CPU, 16)
