"""Run folders: what is written, and what it says."""
