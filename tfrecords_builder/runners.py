"""Who writes the shards: threads of this process, or the workers of an Apache Beam pipeline."""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mmls_tf.errors import UsageError
from tfrecords_builder.convert import ReadOptions
from tfrecords_builder.shard_job import ShardResult, read_journal, write_shard_job
from tfrecords_builder.shards import ShardPlan
from tfrecords_builder.surroundings import Surroundings


@dataclass(frozen=True)
class Work:
    """The shards to be written and how; `staging` None checks the tiles and writes nothing."""

    plans: tuple[ShardPlan, ...]
    options: ReadOptions
    surroundings: Surroundings | None
    staging: Path | None
    threads: int


def run_local(work: Work) -> tuple[list[ShardResult], dict[str, float]]:
    """Writes shard after shard, reading tiles in threads; goes on after bad input, without writing, to find it all.

    Returns:
      Results in the order of the plans, and the seconds that each split took.
    """
    results: list[ShardResult] = []
    sealing: list[Future[None]] = []
    seconds: dict[str, float] = {}
    staging = work.staging
    interval = 0.1 if sys.stderr.isatty() else 10.0  # a log file needs no animation
    total = sum(len(plan.sources) for plan in work.plans)
    with (
        ThreadPoolExecutor(work.threads) as pool,
        tqdm(total=total, unit="tile", mininterval=interval) as bar,
    ):
        for plan in work.plans:
            started = time.perf_counter()
            bar.set_description(plan.split, refresh=False)
            result = read_journal(staging, plan.path) if staging else None
            if result is not None:
                bar.update(len(plan.sources))
            else:
                result, sealed = write_shard_job(
                    plan, work.options, work.surroundings, staging, pool, 2 * work.threads, bar.update
                )
                sealing.append(sealed)
            if result.refused:
                staging = None
            results.append(result)
            seconds[plan.split] = seconds.get(plan.split, 0.0) + time.perf_counter() - started
        for sealed in sealing:
            sealed.result()  # raises what went wrong
    return results, seconds


def run_beam(work: Work, arguments: str) -> tuple[list[ShardResult], dict[str, float]]:
    """Writes the shards as elements of a Beam pipeline; `arguments` are Beam's own, such as `--runner=FlinkRunner`.

    All workers must see the source folder and the unfinished data set under the names that this process uses.
    What a job found comes back through its journal entry; tiles that were refused are read again here.

    Raises:
      UsageError: Apache Beam is not installed, or does not know an argument.
    """
    beam, options = _beam(arguments)
    started = time.perf_counter()
    pending = [plan for plan in work.plans if not (work.staging and read_journal(work.staging, plan.path))]
    with beam.Pipeline(options=options) as pipeline:
        plans = pipeline | "Shards" >> beam.Create(pending)
        # Without the reshuffle a runner may fuse creation and writing into a single worker.
        _ = plans | "Spread" >> beam.Reshuffle() | "Write" >> beam.Map(_write_in_worker, work)
    seconds = {"all splits": time.perf_counter() - started}
    results, _ = run_local(work)  # finished shards are taken from their journal entries
    return results, seconds


def _write_in_worker(plan: ShardPlan, work: Work) -> str:
    with ThreadPoolExecutor(1) as pool:
        _, sealed = write_shard_job(plan, work.options, work.surroundings, work.staging, pool, ahead=1)
        sealed.result()
    return plan.path


def _beam(arguments: str) -> tuple[Any, Any]:
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UsageError(f"--runner=beam: Apache Beam is needed: pip install '.[beam]' ({error})") from error
    return beam, PipelineOptions(arguments.split())
