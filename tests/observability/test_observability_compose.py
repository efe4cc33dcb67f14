"""The compose file by its structure; containers are not run here."""

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "observability"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_container_is_given_is_there_and_cannot_be_written(name: str):
    for volume in SERVICES[name]["volumes"]:
        here, _, mode = volume.split(":")
        assert (FOLDER / here).exists(), volume
        assert mode == "ro"


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_of_one_version_each(name: str):
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag[:1].isdigit() or tag[:1] == "v"


def test_grafana_is_given_every_address_that_its_data_sources_name():
    text = (FOLDER / "provisioning" / "datasources" / "parley.yaml").read_text()
    for name in ("PROMETHEUS_URL", "TEMPO_URL"):
        assert f"${{{name}}}" in text
        assert name in SERVICES["grafana"]["environment"]
    [provider] = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "parley.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


def test_traces_go_from_the_collector_to_where_tempo_takes_them():
    tempo = yaml.safe_load((FOLDER / "tempo" / "tempo.yaml").read_text())
    taken = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rpartition(":")[2]
    host, outside, inside = SERVICES["tempo"]["ports"][1].split(":")
    assert inside == taken
    assert SERVICES["collector"]["environment"]["TRACES_ENDPOINT"] == f"{host}:{outside}"
    assert SERVICES["grafana"]["environment"]["TEMPO_URL"].endswith(str(tempo["server"]["http_listen_port"]))


def test_prometheus_finds_the_configuration_and_through_it_the_stack():
    [mount] = SERVICES["prometheus"]["volumes"]
    [configuration] = [one for one in SERVICES["prometheus"]["command"] if one.startswith("--config.file=")]
    here, there, _ = mount.split(":")
    assert (FOLDER / here / configuration.removeprefix(f"--config.file={there}/")).is_file()
