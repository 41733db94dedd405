"""Network families, one file each: the name in a search space is the name of the file."""
