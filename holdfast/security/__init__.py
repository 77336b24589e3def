"""Who may decide: reviewers' keys, and the signed statements that decisions carry."""
