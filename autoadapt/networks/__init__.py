"""Segmentation networks behind one contract."""
