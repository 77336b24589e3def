"""The vocabulary: frozen models, policies, wire names, errors, the approval state machine.

Pure: no I/O, no clock, no randomness. Workflows import these modules inside Temporal's sandbox.
"""
