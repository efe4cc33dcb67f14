"""Template answers: what is answered, that it goes on, and that it is honest."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialogue.eliza import LONGEST_FRAGMENT, REMEMBERED, RULES, Eliza, answer, reflect
from services.dialogue.eliza_script import FALLBACKS, RECALLS, REPETITIONS, UNHEARD


def talk(*lines: str, state: Eliza = Eliza()) -> list[str]:  # noqa: B008 - frozen
    replies: list[str] = []
    for line in lines:
        state, reply = answer(state, line)
        replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("fragment", "turned"),
    [
        ("i am sad about my dog", "you are sad about your dog"),
        ("you are wrong about me", "I am wrong about you"),
        ("you like me", "I like you"),
        ("go to the beach with you", "go to the beach with me"),
        ("i was there before you were", "you were there before I was"),
        ("your voice is like mine", "my voice is like yours"),
        ("help myself and yourself", "help yourself and myself"),
        ("what you think of it", "what I think of it"),
        ("you", "me"),
        ("am i late", "are you late"),
        ("", ""),
    ],
)
def test_pronouns_are_turned_round(fragment: str, turned: str) -> None:
    assert reflect(fragment) == turned


@pytest.mark.parametrize(
    ("heard", "reply"),
    [
        # as a recogniser writes it, and as a person types it
        ("hello", r"I am Aria"),
        ("Hello, Aria!", r"I am Aria"),
        ("hello how are you", r"And how are you\?"),
        ("how are you aria", r"how are you\?"),
        ("i am fine thanks", r"glad to hear"),
        ("thank you very much", r"You are welcome"),
        ("good bye", r"^Good-bye\."),
        ("what is your name", r"I am Aria, a small built-in program"),
        ("whats your name", r"I am Aria, a small built-in program"),
        ("are you a robot", r"a small program, not a person"),
        ("how do i connect a language model", r"Ollama"),
        ("what can you do", r"I listen"),
        ("can you hear me", r"^Yes, I can hear you"),
        ("what time is it", r"no clock"),
        ("what is the weather like in london", r"window"),
        ("what is the capital of france", r"language model"),
        ("tell me a joke", r"cross the road"),
        ("please tell me a story about the sea", r"Once there was"),
        ("turn on the light", r"more than my few rules"),
        ("my name is anna", r"^Nice to meet you, Anna\. I am Aria\."),
        ("i feel a little tired this morning", r"tired"),
        ("i am so sad today", r"feel sad"),
        ("my brother is going to the party tonight", r"about your brother"),
        ("my dog died", r"^I am sorry"),
        ("i want to go to the beach with you", r"want to go to the beach with me\?"),
        ("i want a new car please", r"want a new car\?"),
        ("i can't sleep", r"you can't sleep"),
        ("I cannot sleep.", r"you can't sleep"),
        ("i think you are wrong about me", r"I am wrong about you"),
        ("i remember my first day at sea", r"think of your first day at sea"),
        ("i love sailing", r"about sailing"),
        ("my boat is blue", r"your boat"),
        ("i would like to know more about the moon", r"language model"),
        ("why don't you like me", r"limits"),
        ("everybody hates winter", r"without exception"),
        ("yes", r"more"),
        ("no", r"Why not"),
        ("i don't know", r"certain"),
        ("um", r"did not catch"),
        ("", r"did not catch"),
        ("...", r"did not catch"),
        ("i want to die", r"call someone you trust"),
    ],
)
def test_first_replies(heard: str, reply: str) -> None:
    assert re.search(reply, talk(heard)[0]), talk(heard)[0]


def test_what_matters_most_is_answered_wherever_it_was_said() -> None:
    assert "sorry" in talk("Hello! How are you? My dog died.")[0]


def test_the_name_is_kept() -> None:
    replies = talk("what is my name", "my name is anna", "nice weather", "do you know my name", "good bye")
    assert "not told me" in replies[0]
    assert "Anna" in replies[3]
    assert replies[4].startswith("Good-bye, Anna.")


def test_an_earlier_remark_comes_back_when_nothing_else_fits() -> None:
    replies = talk("my old boat is leaking", "hm the blue sky", "grey clouds", "green trees")
    assert [("your old boat" in reply) for reply in replies[1:]] == [False, True, False]


def test_it_says_again_what_it_said() -> None:
    replies = talk("tell me a joke", "what did you say", "say that again")
    assert replies[1].endswith(replies[0])
    assert replies[2].endswith(replies[0])


def test_a_repetition_is_noticed() -> None:
    assert talk("the blue sky", "the blue sky")[1] == REPETITIONS[0]


@pytest.mark.parametrize("line", ["hello", "yes", "tell me a joke", "i want a boat", "how are you", "what is love"])
def test_the_same_words_get_another_reply(line: str) -> None:
    first, second = talk(line, line)
    assert first != second


def test_a_reply_just_given_is_passed_over() -> None:
    assert answer(Eliza(said=UNHEARD[0]), "")[1] == UNHEARD[1]


def test_the_seed_varies_the_replies() -> None:
    assert talk("hello", state=Eliza(seed=1)) != talk("hello")


def test_the_name_is_the_characters() -> None:
    assert "I am Max" in talk("hello max", state=Eliza(name="Max"))[0]


def test_a_long_sentence_is_not_said_back() -> None:
    words = " ".join(["boat"] * (LONGEST_FRAGMENT + 1))
    assert "boat" not in talk(f"i want {words}")[0]


def test_memory_is_bounded() -> None:
    state = Eliza()
    for number in range(REMEMBERED * 3):
        state, _ = answer(state, f"my thing{chr(97 + number)} is here")
    assert len(state.memory) == REMEMBERED


def test_every_rule_can_reply() -> None:
    """Each reply of the script can be filled in, and is one to three short sentences."""
    values = {"name": "Aria", "user": "Anna", "last": "Yes.", "it": "your boat"}
    for rule in RULES:
        assert rule.replies
        if all("{" in reply.replace("{name}", "") for reply in rule.replies):
            assert rule.otherwise or "(?P<it>" in rule.pattern.pattern or "my name is" in rule.pattern.pattern
        assert not ("{it}" in "".join(rule.replies) and "(?P<it>" not in rule.pattern.pattern)
    lists = [rule.replies + rule.otherwise for rule in RULES] + [UNHEARD, REPETITIONS, RECALLS, FALLBACKS]
    for reply in (reply for replies in lists for reply in replies):
        spoken = reply.format_map(values)
        assert 1 <= len(re.findall(r"[.?!](?=\s|$)", spoken)) <= 4, spoken
        assert len(spoken) <= 190, spoken
        assert spoken[0].isupper(), spoken
        assert spoken[-1] in ".?!", spoken


def test_a_conversation_does_not_go_round_in_circles() -> None:
    lines = ["the sky", "a tree", "grass and stones", "rain falls", "red bricks", "old walls", "a lamp"]
    replies = talk(*lines)
    assert len(set(replies)) == len(replies)


VOCABULARY = (
    "i you my your me am are is was want need feel sad happy because dog mother name aria hello what who why how do "
    "can't don't think remember always no yes the a boat {it} {x} um please"
)
WORDS = st.sampled_from(VOCABULARY.split())


@given(st.lists(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=60), max_size=12), st.integers(0, 99))
def test_there_is_always_a_reply_and_never_the_same_twice_running(lines: list[str], seed: int) -> None:
    state = Eliza(seed=seed)
    before = ""
    for line in lines:
        after, reply = answer(state, line)
        assert answer(state, line) == (after, reply)
        assert reply
        assert "{" not in reply.replace("{it}", "").replace("{x}", "")
        assert reply != before
        state, before = after, reply


def test_a_hostile_text_takes_no_long_time() -> None:
    for text in ("tell " * 1000, "i am " * 1000, "my " * 1000, "a" * 4000):
        answer(Eliza(), text)


def test_the_state_is_not_changed() -> None:
    state = Eliza()
    answer(state, "my name is anna and my boat is blue")
    assert state == replace(Eliza())
