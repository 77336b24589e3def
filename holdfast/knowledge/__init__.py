"""What packages know: their articles, read and split for the knowledge agent to search."""
