"""A trial, a search, the run folder, executors, adaptation, evaluation, prediction."""
