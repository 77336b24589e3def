"""The demonstration: five conversations of one customer, told in the terminal while they happen."""
