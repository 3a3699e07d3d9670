"""A map against the truth, landslide by landslide."""
