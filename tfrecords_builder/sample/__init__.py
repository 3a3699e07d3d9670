"""A small made-up Mars: seeded terrain with landslides, written in the layout of the real data.

For newcomers without the real tiles, for `make demo` and for tests. The scores reached on it say nothing
about Mars.
"""
