"""The conversation: pure machines, and around them the shells that listen, ask, speak and remember.

May import contracts, telemetry, speech and store.
"""
