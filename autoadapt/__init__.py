"""Find the segmentation network that adapts best, without reading a single target label."""

__version__ = "0.1.0"
