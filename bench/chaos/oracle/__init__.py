"""What must not have happened, looked for on the far side of every boundary once all is quiet."""
