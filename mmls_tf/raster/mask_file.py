"""Masks as plain TIFFs in memory."""

from __future__ import annotations

import io

from mmls_tf.raster.pages import load_tifffile
from mmls_tf.raster.raster import ByteArray


def encode_mask(mask: ByteArray) -> bytes:
    """Returns a TIFF of one page, LZW, of a mask uint8 [height, width]; the same mask gives the same bytes.

    Raises:
      UsageError: tifffile or imagecodecs is missing.
    """
    content = io.BytesIO()
    load_tifffile().imwrite(
        content, mask, compression="lzw", photometric="minisblack", metadata=None, software=False
    )
    return content.getvalue()
