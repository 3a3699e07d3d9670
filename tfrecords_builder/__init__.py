"""Turns seven-band Mars rasters into validated, sharded TFRecords with a manifest."""
