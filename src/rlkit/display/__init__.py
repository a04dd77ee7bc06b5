"""Terminal output and logs of runs and searches."""
