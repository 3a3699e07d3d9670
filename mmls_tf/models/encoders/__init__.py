"""Encoders: [batch, size, size, bands] in, features at several strides out."""
