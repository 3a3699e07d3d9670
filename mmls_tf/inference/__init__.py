"""From a scene of any size to a map of landslide probability: windows, blending, rows as they are finished, files."""
