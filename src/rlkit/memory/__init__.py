"""Memories: storage of transitions for the updates."""
