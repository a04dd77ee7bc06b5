"""Memories: where transitions wait for their updates."""
