"""The door: the page, the WebSocket relay, health and metrics. Holds no conversation state.

May import contracts, telemetry, speech and store.
"""
