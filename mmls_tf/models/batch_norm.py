"""Batch normalisation in one kernel where the backend has one."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("mmls_tf")
class FusedBatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization` (Ioffe and Szegedy 2015, arXiv 1502.03167), the same numbers, sooner.

    Keras computes moments, scaling and their gradients by some twenty element-wise operations, each a pass over the
    features, in float32 whatever the precision. TensorFlow has one kernel for each direction, which takes
    bfloat16, sums in float32 and is merged with a ReLU that follows. On other backends, where XLA merges the
    element-wise operations, and for inputs other than [batch, height, width, channels], this is Keras's layer.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns the normalised features, in shape and dtype as `inputs`; training updates the moving moments."""
        # Older versions of Keras have no batch renormalisation.
        plain = mask is not None or self.synchronized or getattr(self, "renorm", False)
        if (
            plain
            or self.axis not in (-1, 3)
            or len(inputs.shape) != 4
            or keras.backend.backend() != "tensorflow"
        ):
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        if not (training and self.trainable):
            return self._fused(inputs, False, self.moving_mean, self.moving_variance)[0]
        nothing = ops.zeros((0,))
        outputs, mean, variance = self._fused(inputs, True, nothing, nothing)
        # The kernel divides by one less than the number of values, Keras and inference by that number.
        count = ops.cast(ops.size(inputs), "float32") / inputs.shape[-1]
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance * (count - 1.0) / count)
        return outputs

    def _fused(self, inputs: Any, training: bool, mean: Any, variance: Any) -> tuple[Any, Any, Any]:
        import tensorflow as tf  # where TensorFlow is the backend; elsewhere it need not be installed

        channels = (inputs.shape[-1],)
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(self.gamma) if self.scale else ops.ones(channels),
            offset=ops.convert_to_tensor(self.beta) if self.center else ops.zeros(channels),
            mean=ops.convert_to_tensor(mean),
            variance=ops.convert_to_tensor(variance),
            epsilon=self.epsilon,
            is_training=training,
        )[:3]

    def _follow(self, moving: Any, current: Any) -> None:
        moving.assign(moving * self.momentum + ops.stop_gradient(current) * (1.0 - self.momentum))
