"""Speech to text as a library, without Triton and NATS.

May import contracts and telemetry.
"""
