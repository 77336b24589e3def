"""Doors that speak another protocol: the terminal, and the dialects of other review tools."""
