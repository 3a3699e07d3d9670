"""Scores of a run on a split: exact counts, metrics, the ledger of isolated evaluations, pictures."""
