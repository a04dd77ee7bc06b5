"""Results of a run: scores, statistics, plots, and the files that hold them."""
