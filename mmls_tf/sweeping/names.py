"""Whether models and encoders exist, asked in a process of its own: their tables load Keras, a sweep need not."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from mmls_tf.errors import UsageError
from mmls_tf.sweeping.plan import Cell


def require_names(cells: Sequence[Cell]) -> None:
    """Refuses decoders and encoders that do not exist, before the first run trains.

    Raises:
      UsageError: there is no such decoder or encoder, or no such backend to look them up with.
    """
    if not cells:
        return
    pairs = sorted({(cell.config.model, cell.config.encoder) for cell in cells})
    context = multiprocessing.get_context("spawn")  # a fork would share what this process has loaded
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        problem = pool.submit(name_problem, pairs, cells[0].config.backend).result()
    if problem:
        raise UsageError(problem)


def name_problem(pairs: Sequence[tuple[str, str]], backend: str) -> str:
    """Returns what is wrong with the first wrong (decoder, encoder), empty if nothing is."""
    from mmls_tf.backend import start_backend

    try:
        start_backend(backend)
        from mmls_tf.models.encoders.table import encoder_named
        from mmls_tf.models.registry import decoder_named

        for decoder, encoder in pairs:
            decoder_named(decoder), encoder_named(encoder)
    except UsageError as error:
        return str(error)
    return ""
