"""What a prediction says while it works."""

from __future__ import annotations

import pytest

from mmls_tf.inference.progress import ProgressLine, progress_text


@pytest.mark.parametrize(
    ("done", "fresh", "seconds", "words"),
    [
        (250, 250, 10.0, "250 of 1000 rows (25%)  0.05 megapixels/s  30 s left"),
        (
            250,
            50,
            10.0,
            "250 of 1000 rows (25%)  0.01 megapixels/s  2 min left",
        ),  # only its own rows give the rate
        (10, 10, 600.0, "10 of 1000 rows (1%)  3.33e-05 megapixels/s  16.5 h left"),
        (5, 0, 3.0, "5 of 1000 rows (0%)  0 megapixels/s  time left unknown"),
    ],
)
def test_rows_rate_and_time_left(done: int, fresh: int, seconds: float, words: str) -> None:
    assert progress_text(done, 1000, 2000, fresh, seconds) == f"predicted  {words}"


def test_output_to_a_file_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(1000, 2000, 0)
    for row in range(1000):
        line.show(row)
    line.close()
    assert capsys.readouterr().out.count("\n") <= 1
