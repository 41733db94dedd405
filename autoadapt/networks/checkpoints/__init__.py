"""Weights of other projects and of our own, into the networks of this package.

``reading`` opens a file, ``layouts`` says which project wrote it and how its names translate,
``loading`` fills a network and reports, ``slicing`` cuts the weights of a larger network to the
size of a smaller one, ``download`` fetches files with an official address.
"""

from autoadapt.networks.checkpoints.exact import listing, load_weights

__all__ = ["listing", "load_weights"]
