"""Grids of runs: planned as text, trained by the train command, read back from run folders, summed up as tables."""
