"""Finds what is installed: packages with their agents and actions, and the policies of tenants."""
