"""Trained runs in a form that other programs serve: TensorFlow SavedModels."""
