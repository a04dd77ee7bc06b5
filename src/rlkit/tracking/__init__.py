"""Trackers: the rows of a run's folder, sent to programs that show the metrics of many runs."""
