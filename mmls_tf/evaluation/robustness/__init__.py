"""What a run loses when its input is not what it was trained on: changed tiles, drops of the score, curves."""
