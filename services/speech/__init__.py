"""Clients of the speech models: streams to Triton, replica choice, deadlines, failover.

May import contracts and telemetry.
"""
