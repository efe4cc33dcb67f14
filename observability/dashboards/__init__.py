"""Grafana's dashboards as code: `make dashboards` writes observability/grafana/ from it. Imports nothing of ours."""
