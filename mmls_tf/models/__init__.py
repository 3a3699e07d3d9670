"""Segmentation models in plain Keras: [batch, height, width, bands] in, float32 logits out."""
