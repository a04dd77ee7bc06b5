"""Environments: making them, stepping many at once, resetting them ourselves."""
