"""The `parley` command: the whole stack on one machine, checks and benchmarks.

May import contracts, telemetry and speech.
"""
