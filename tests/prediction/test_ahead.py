"""Items made ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mmls_tf.prediction.ahead import ahead


def test_it_gives_the_same_items_in_the_same_order() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([], 3)) == []


def test_it_is_only_so_far_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with_gap = ahead(items(), 2)
    assert next(with_gap) == 0
    threading.Event().wait(0.3)
    # One was given, two wait, and one is in the hand of the thread.
    assert made == [0, 1, 2, 3]
    with_gap.close()  # type: ignore[attr-defined]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    found = ahead(items(), 5)
    assert next(found) == 1
    with pytest.raises(ValueError, match="no more"):
        next(found)


def test_whoever_stops_early_stops_the_thread() -> None:
    def forever() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    before = threading.active_count()
    found = ahead(forever(), 4)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
