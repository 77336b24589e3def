"""Temporal activities: the only callers of subgraphs and the only writers of conversation records."""
