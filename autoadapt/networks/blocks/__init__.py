"""What networks are made of: layers, residual blocks, segmentation heads."""
