"""The demonstration: six conversations of one customer, told in the terminal while they happen."""
