"""Kills and freezes everything at random moments while conversations go on, and counts what came of it."""
