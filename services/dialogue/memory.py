"""What a conversation remembers: committed turns, of which the language model sees the last few."""

from dataclasses import dataclass, replace

from services.contracts.events import Turn

KEPT_TURNS = 100


@dataclass(frozen=True)
class Memory:
    turns: tuple[Turn, ...] = ()
    """Oldest first; only turns that are over, each as it was heard."""

    def commit(self, turn: Turn) -> "Memory":
        return replace(self, turns=(*self.turns, turn)[-KEPT_TURNS:])
