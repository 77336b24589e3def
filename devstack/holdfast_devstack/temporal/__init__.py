"""The Temporal dev server: where its binary comes from, and how it runs."""
