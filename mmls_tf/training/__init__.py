"""Devices, the run folder, and the training loop."""
