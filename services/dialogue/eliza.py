"""Conversation without a language model, in the manner of ELIZA.

After Joseph Weizenbaum, "ELIZA: a computer program for the study of natural language communication between man and
machine", Communications of the ACM 9(1), 1966: ranked keywords, decomposition of the sentence, reassembly with the
pronouns turned round, and a memory for quiet moments. The script is made for what a speech recogniser gives: lower
case, no punctuation, now and then a wrong word. Pure: the same state and words give the same reply.
"""

import re
from dataclasses import dataclass, replace

from services.dialogue.eliza_rule import Rule
from services.dialogue.eliza_script import FALLBACKS, RECALLS, REPETITIONS, TALK, UNHEARD
from services.dialogue.eliza_themes import THEMES

LONGEST_TEXT = 500
"""Characters; what comes after them is not looked at."""
LONGEST_FRAGMENT = 9
"""Words; a longer piece of the user's sentence is not said back."""
REMEMBERED = 5

RULES: tuple[Rule, ...] = (*TALK, *THEMES)
# After the rules, the lists of replies for when there is no rule have the next numbers.
_UNHEARD, _REPETITIONS, _RECALLS, _FALLBACKS = range(len(RULES), len(RULES) + 4)


@dataclass(frozen=True)
class Eliza:
    """A conversation so far."""

    name: str = "Aria"
    seed: int = 0
    """Where each rule's replies begin to go round."""
    user: str = ""
    """The user's name, once told."""
    heard: str = ""
    """The user's last words, normalised."""
    said: str = ""
    """Our last reply."""
    memory: tuple[str, ...] = ()
    """Things of the user's to come back to, in our words: "your old dog"."""
    uses: tuple[int, ...] = (0,) * (len(RULES) + 4)
    """How often each rule has been used."""


def answer(state: Eliza, text: str) -> tuple[Eliza, str]:
    """Our reply of one to three short sentences, and the conversation with it."""
    clauses = [_normalise(clause, state.name) for clause in re.split(r"[.!?;\n]+", text[:LONGEST_TEXT])]
    clauses = [clause for clause in clauses if clause]
    before, state = state.heard, replace(_learn(state, clauses), heard=" ".join(clauses))
    if not clauses:
        return _reply(state, _UNHEARD, UNHEARD, {})
    if found := _best_rule(clauses):
        number, match = found
        values = _values(state, match)
        if replies := _possible(RULES[number].replies, values) or _possible(RULES[number].otherwise, values):
            return _reply(state, number, replies, values)
    if state.heard == before:
        return _reply(state, _REPETITIONS, REPETITIONS, {})
    if state.memory and state.uses[_FALLBACKS] % 2:
        recalled, rest = state.memory[0], state.memory[1:]
        return _reply(replace(state, memory=rest, uses=_used(state, _FALLBACKS)), _RECALLS, RECALLS, {"it": recalled})
    return _reply(state, _FALLBACKS, FALLBACKS, {})


def reflect(fragment: str) -> str:
    """A piece of the user's sentence as we say it back: "i am sad about my dog" is "you are sad about your dog"."""
    words = fragment.split()
    turned: list[str] = []
    index = 0
    while index < len(words):
        pair = " ".join(words[index : index + 2])
        if pair in _PAIRS:
            turned.append(_PAIRS[pair])
            index += 2
            continue
        if words[index] == "you":
            # "you" is "I" where it acts and "me" where it is acted upon.
            follows = words[index + 1] if index + 1 < len(words) else ""
            turned.append("I" if follows in _AFTER_SUBJECT or (follows and index == 0) else "me")
        else:
            turned.append(_PRONOUNS.get(words[index], words[index]))
        index += 1
    return " ".join(turned)


_PRONOUNS = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
}
_PAIRS = {
    "i am": "you are",
    "i was": "you were",
    "am i": "are you",
    "was i": "were you",
    "you are": "I am",
    "you were": "I was",
    "are you": "am I",
    "were you": "was I",
}
_AFTER_SUBJECT = frozenset(
    [
        *["can", "cannot", "can't", "could", "did", "didn't", "do", "don't", "had", "have", "know", "like", "may"],
        *["might", "must", "never", "said", "say", "should", "think", "understand", "want", "will", "won't", "would"],
    ]
)
_CONTRACTIONS = """
    i'm=i am|im=i am|you're=you are|youre=you are|he's=he is|she's=she is|it's=it is|we're=we are|they're=they are
    that's=that is|what's=what is|whats=what is|who's=who is|where's=where is|how's=how is|there's=there is
    i've=i have|ive=i have|i'll=i will|you'll=you will|i'd=i would|dont=don't|cant=can't|cannot=can't|didnt=didn't
    wont=won't|isnt=isn't|gonna=going to|wanna=want to|gotta=have to|hiya=hi|ya=you|u=you
    mom=mother|mum=mother|dad=father|yeah=yes|yep=yes|nope=no|ok=okay
"""
_WRITTEN_OUT = {
    short.strip(): long.strip()
    for short, _, long in (pair.partition("=") for pair in re.split(r"[|\n]", _CONTRACTIONS.strip()))
}
_FILLERS = frozenset(["um", "uh", "er", "erm", "hmm", "hm", "mm", "oh", "ah", "well", "so", "and", "but", "now"])
_TRAILING = frozenset([*_FILLERS, "please", "then", "too", "though", "really", "today", "right", "anyway"])
_NAME = re.compile(r"\b(?:my name is|call me|i am called) (?!not\b|later\b|back\b)([^\W\d_]+)")
_THING = re.compile(r"\bmy ((?:(?:old|older|new|best|little|younger|big|first|last|own|dear|favou?rite) )?([^\W\d_]+))")
_NOT_THINGS = frozenset(["name", "god", "goodness", "way", "mind", "opinion", "turn", "question", "bad", "fault"])


def _normalise(clause: str, name: str) -> str:
    """Lower case, no punctuation, contractions written out, without fillers and our own name around it."""
    found = re.findall(r"[^\W_]+(?:'[^\W_]+)*", clause.lower().replace("’", "'"))
    words = [word for said in found for word in _WRITTEN_OUT.get(str(said), str(said)).split()]
    called = name.lower()
    while len(words) > 1 and (words[0] in _FILLERS or words[0] in (called, "please")):
        words = words[1:]
    if len(words) > 1 and words[-1] == called and words[-2] not in ("am", "is", "me", "called", "are"):
        words = words[:-1]
    return "" if all(word in _FILLERS for word in words) else " ".join(words)


def _best_rule(clauses: list[str]) -> tuple[int, re.Match[str]] | None:
    """The number of the highest-ranked rule that matches any clause, the first of equals, and its match."""
    best: tuple[int, re.Match[str]] | None = None
    for clause in clauses:
        for number, rule in enumerate(RULES):
            if (best is None or rule.rank > RULES[best[0]].rank) and (match := rule.pattern.search(clause)):
                best = number, match
    return best


def _learn(state: Eliza, clauses: list[str]) -> Eliza:
    """What of the user's words is kept: their name, and things of theirs."""
    for clause in clauses:
        if named := _NAME.search(clause):
            state = replace(state, user=named[1].capitalize())
        for found in _THING.finditer(clause):
            thing = f"your {found[1]}"
            if found[2] not in _NOT_THINGS and thing not in state.memory:
                state = replace(state, memory=(*state.memory, thing)[-REMEMBERED:])
    return state


def _values(state: Eliza, match: re.Match[str]) -> dict[str, str]:
    """What a reply may contain, as far as we have it."""
    words: list[str] = (match.groupdict().get("it") or "").split()
    while words and words[-1] in _TRAILING:
        words.pop()
    fragment = reflect(" ".join(words)) if len(words) <= LONGEST_FRAGMENT else ""
    values = {"name": state.name, "user": state.user, "last": state.said, "it": fragment}
    return {name: value for name, value in values.items() if value}


def _possible(replies: tuple[str, ...], values: dict[str, str]) -> tuple[str, ...]:
    return tuple(reply for reply in replies if set(re.findall(r"\{(\w+)\}", reply)) <= values.keys())


def _reply(state: Eliza, number: int, replies: tuple[str, ...], values: dict[str, str]) -> tuple[Eliza, str]:
    turn = (state.seed + state.uses[number]) % len(replies)
    # The possible replies change with what is known, so that going round alone could say the same twice.
    if replies[turn].format_map(values) == state.said:
        turn = (turn + 1) % len(replies)
    reply = replies[turn].format_map(values)
    said = state.said if "{last}" in replies[turn] else reply
    return replace(state, said=said, uses=_used(state, number)), reply


def _used(state: Eliza, number: int) -> tuple[int, ...]:
    return (*state.uses[:number], state.uses[number] + 1, *state.uses[number + 1 :])
