"""Pipecat with stand-in services of the same latencies; see README.md."""
