"""Reports, plots and correlations, from records alone."""
