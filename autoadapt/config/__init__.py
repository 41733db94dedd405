"""Experiment files: YAML in, typed settings out, all mistakes reported at once."""
