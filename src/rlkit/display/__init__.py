"""What one sees of runs and searches while they train, and what their logs keep."""
