"""The parts of scripts/reliability.py: each attacks rlkit in one way, and counts what held."""
