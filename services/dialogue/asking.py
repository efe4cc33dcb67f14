"""What a language model and a voice are asked for, read off a conversation."""

import msgspec

from services.contracts.characters import FASTEST, SLOWEST, Character, Voice
from services.dialogue.conversation import Conversation
from services.dialogue.language import AnswerRequest, build_messages


def request(state: Conversation, user: str, character: Character) -> AnswerRequest:
    """The question as the character's language model gets it, with what was said before."""
    settings = state.settings
    return AnswerRequest(
        messages=build_messages(character, state.memory.turns, user, settings.context_turns),
        turn=state.answer.number if state.answer else None,
        model=settings.model,
        temperature=settings.temperature,
        max_tokens=settings.answer_tokens,
        seed=settings.seed,
    )


def voice(state: Conversation, character: Character) -> Voice:
    """The character's own voice with what the user set: pace relative to its own, a seed in place of its own."""
    settings, own = state.settings, character.voice
    speed = min(max(own.speed * settings.speed, SLOWEST), FASTEST)
    seed = own.seed if settings.seed is None else settings.seed
    return msgspec.structs.replace(own, speed=speed, seed=seed)
