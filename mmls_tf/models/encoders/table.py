"""The one table of encoders."""

from __future__ import annotations

from mmls_tf.errors import UsageError
from mmls_tf.models.encoders import plain
from mmls_tf.models.encoders.applications import APPLICATIONS
from mmls_tf.models.encoders.keras_cv import RESNETS
from mmls_tf.models.encoders.mit import MIXTRANSFORMERS
from mmls_tf.models.pyramid import Encoder

_PLAIN = Encoder("plain", "ours", plain.STRIDES, False, plain.plain_encoder)

ENCODERS: dict[str, Encoder] = {
    encoder.name: encoder for encoder in (_PLAIN, *RESNETS, *APPLICATIONS, *MIXTRANSFORMERS)
}


def encoder_named(name: str) -> Encoder:
    """Returns an encoder.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in ENCODERS:
        raise UsageError(f"--encoder={name}: expected one of {', '.join(ENCODERS)}")
    return ENCODERS[name]
