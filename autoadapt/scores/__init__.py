"""Label-free scores, one file each; smaller is better."""
