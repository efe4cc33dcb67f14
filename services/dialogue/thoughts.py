"""Takes a model's thoughts out of its answer as it is written: `<think>...</think>` is neither shown nor said.

Pure. What is taken out does not depend on how the text came in tokens.
"""

from dataclasses import dataclass

_NAMES = ("think", "thinking", "thought", "reasoning")
_OPENING = tuple(f"<{name}>" for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Thoughts:
    held: str = ""
    """Text that may turn out to be the beginning of a tag."""
    until: str = ""
    """The tag that ends the thought we are in."""


def feed(thoughts: Thoughts, text: str) -> tuple[Thoughts, str]:
    """The part of the text so far that is certainly answer."""
    text = thoughts.held + text
    until = thoughts.until
    answer: list[str] = []
    while True:
        tags = (until,) if until else _OPENING
        position, tag = min(((at, tag) for tag in tags if (at := text.find(tag)) >= 0), default=(-1, ""))
        if position < 0:
            break
        if not until:
            answer.append(text[:position])
        text = text[position + len(tag) :]
        until = "" if until else tag.replace("<", "</")
    held = _beginning_of_tag(text, (until,) if until else _OPENING)
    if not until:
        answer.append(text[: len(text) - len(held)])
    return Thoughts(held, until), "".join(answer)


def finish(thoughts: Thoughts) -> str:
    """What was held back and is answer after all, now that no more comes."""
    return "" if thoughts.until else thoughts.held


def _beginning_of_tag(text: str, tags: tuple[str, ...]) -> str:
    """The end of `text` that could be the beginning of a tag."""
    position = text.rfind("<")
    if position >= 0 and any(tag.startswith(text[position:]) for tag in tags):
        return text[position:]
    return ""
