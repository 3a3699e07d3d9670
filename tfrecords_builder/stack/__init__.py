"""Brings separately delivered bands onto one grid, or joins tiles, into one seven-band mosaic."""
