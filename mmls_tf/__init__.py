"""Landslide segmentation on Mars: tf.data input, Keras 3 models, training, evaluation.

Importing this package is instant: TensorFlow, Keras and GDAL are loaded by the modules that use them.
"""

__version__ = "0.1.0"
