"""Parley's server side. The folders are the map: see docs/architecture.md."""
