"""Cuts a georeferenced seven-band mosaic, and polygons drawn over it, into tiles in the challenge layout."""
