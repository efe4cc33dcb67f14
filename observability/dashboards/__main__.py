"""`python -m observability.dashboards` writes the JSON files that Grafana imports."""

import json
from pathlib import Path

from observability.dashboards.all import DASHBOARDS
from observability.dashboards.panels import document

FOLDER = Path(__file__).resolve().parents[1] / "grafana"


def files() -> dict[str, str]:
    """The text of each file, by its name."""
    return {f"{one.uid}.json": json.dumps(document(one), indent=1) + "\n" for one in DASHBOARDS}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text)
