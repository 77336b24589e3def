"""Runs graphs, keeps their snapshots, and has the built-in ones: triage, knowledge, general."""
