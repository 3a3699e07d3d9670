"""Compares a built data set with its manifest and, where they are at hand, with its sources."""
