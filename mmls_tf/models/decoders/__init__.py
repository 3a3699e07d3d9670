"""Decoders: features at several strides in, features of one stride out, ready for the head."""
