"""Fetches the public release of MMLSv2, whole and checked, for the builder to read."""
