"""Collecting, evaluating, saving: the one loop and what surrounds it."""
