"""Load on a running stack: spoken sentences, stand-in models with known latencies, and a client that drives sessions.

It may import `services.contracts`, pure parts of `services.dialogue` and `services.telemetry`, and, in `models/`, the
shells of the speech libraries. Nothing of the product imports it.
"""
