"""Built data sets as tf.data: opened and checked, parsed, normalised, augmented, batched."""
