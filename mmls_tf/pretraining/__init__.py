"""Encoders taught by images alone: they fill in what was hidden from them."""
