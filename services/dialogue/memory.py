"""What a conversation remembers: committed turns, of which the language model sees the last few."""

from dataclasses import dataclass, replace

from services.contracts.events import Turn

KEPT_TURNS = 100
KEPT_CHARACTERS = 100_000
"""All turns together: history travels in one NATS message, whose limit is 1 MiB."""


@dataclass(frozen=True)
class Memory:
    turns: tuple[Turn, ...] = ()
    """Oldest first; only turns that are over, each as it was heard."""

    def commit(self, turn: Turn) -> "Memory":
        """The memory with this turn; the oldest leave when there are too many or they are too long."""
        turns = (*self.turns, turn)[-KEPT_TURNS:]
        size = sum(len(one.user) + len(one.assistant) for one in turns)
        while len(turns) > 1 and size > KEPT_CHARACTERS:
            size -= len(turns[0].user) + len(turns[0].assistant)
            turns = turns[1:]
        return replace(self, turns=turns)
