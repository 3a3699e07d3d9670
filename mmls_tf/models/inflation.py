"""The first convolution of an encoder, carried over to other bands."""

from __future__ import annotations

import numpy as np


def inflate(kernel: np.ndarray, bands: tuple[str, ...], new_bands: tuple[str, ...]) -> np.ndarray:
    """Returns the kernel for `new_bands`, from one for `bands`.

    A band that the kernel knows keeps its weights; a new one gets the mean over all known bands, as in the inflation
    of Carreira and Zisserman 2017 (arXiv 1705.07750, section 2.3.1), who repeat a kernel along a new axis. Theirs
    divides by the number of repeats, since frames of a video are alike; bands here are standardised and taken as
    independent, of zero mean and unit variance. The response of filter f to them is y_f = sum_c w_cf * x_c, and its
    variance is proportional to sum_c |w_cf|^2, so that all weights of a filter, known bands' too, are multiplied by

        s_f = sqrt(sum over `bands` of |w_cf|^2 / sum over `new_bands` of |w_cf|^2)

    and every filter responds as strongly as before. With the same bands s_f is 1 and nothing changes.

    Args:
      kernel: [height, width, bands, filters].

    Returns:
      [height, width, new_bands, filters], of the same type.
    """
    mean = kernel.mean(axis=2)
    new = np.stack([kernel[:, :, bands.index(band)] if band in bands else mean for band in new_bands], axis=2)
    before, after = (np.square(weights, dtype=np.float64).sum(axis=(0, 1, 2)) for weights in (kernel, new))
    scale = np.sqrt(np.divide(before, after, out=np.ones_like(before), where=after > 0))
    return (new * scale).astype(kernel.dtype)
