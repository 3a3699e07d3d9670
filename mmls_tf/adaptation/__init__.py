"""Runs carried to ground that they have not seen: statistics, prior, self-training, a few labels."""
