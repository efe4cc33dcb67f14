"""The configuration of the parts, checked before any of them is started: a part that ends at once is harder to read."""

from services.configuration import ConfigurationError, load
from services.dialogue.characters import CastError, load_cast
from services.dialogue.config import WorkerConfiguration
from services.edge.config import EdgeConfiguration

_WORKER_IS_HANDED = frozenset(
    {
        "nats_url", "health_port", "log_format", "stt_addresses", "stt_model", "tts_addresses", "tts_model",
        "llm_mode", "llm_url", "llm_api_key", "llm_model", "llm_detail",
    }
)  # fmt: skip
_EDGE_IS_HANDED = frozenset({"nats_url", "host", "port", "session_secret", "log_format"})


def check() -> WorkerConfiguration:
    """The worker's, without what it is handed.

    Raises ConfigurationError with all that is wrong in variables that the launcher does not set itself.
    """
    wrong: list[str] = []
    worker = None
    try:
        load(EdgeConfiguration, _EDGE_IS_HANDED)
    except ConfigurationError as error:
        wrong.append(str(error))
    try:
        worker = load(WorkerConfiguration, _WORKER_IS_HANDED)
        load_cast(worker.characters)
    except ConfigurationError as error:
        wrong.append(str(error))
    except CastError as error:
        wrong.append(f"PARLEY_CHARACTERS: {error}")
    if wrong or worker is None:
        # A variable that both parts read is said once.
        said = {line.partition(":")[0]: line for line in "\n".join(wrong).splitlines()}
        raise ConfigurationError("\n".join(said.values()))
    return worker
