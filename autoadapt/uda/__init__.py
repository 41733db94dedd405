"""Unsupervised domain adaptation methods, one file each."""
