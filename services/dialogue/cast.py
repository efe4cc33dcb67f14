"""Whose turn is it to answer? For now the cast on stage is one: the character chosen in the settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.contracts.characters import Character


@dataclass(frozen=True)
class Cast:
    characters: Mapping[str, Character]
    """By id; never empty."""
    on_stage: str
    """Id of the character who answers."""


def speakers(cast: Cast) -> tuple[Character, ...]:
    """Who answers the next turn, in order."""
    return (cast.characters[cast.on_stage],)
