"""Formats of data sets, one per file: where images and labels lie, and how a label is written."""
