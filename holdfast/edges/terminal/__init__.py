"""What the command line shows to people: answers, conversations, approvals, an interactive chat."""
