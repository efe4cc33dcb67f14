"""What runs in this process, as a metric."""

import platform
from importlib.metadata import PackageNotFoundError, version

from services.telemetry import metrics


def announce(service: str) -> None:
    """Put the service's name, Parley's version and Python's into `parley_build_info`."""
    try:
        parley = version("parley")
    except PackageNotFoundError:  # run from a folder that was not installed
        parley = "unknown"
    metrics.BUILD.info({"service": service, "version": parley, "python": platform.python_version()})
