"""Metrics that need labels: for evaluation and correlation, never for a search."""
