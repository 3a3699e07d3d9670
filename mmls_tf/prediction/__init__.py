"""From run folders to landslide probabilities: members of an ensemble, symmetries of the square, tiles in turn."""
