"""How a transcript ends: what the end of a turn is judged by, besides silence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dialogue.wording import Wording, alike, wording, words

FINISHED, UNFINISHED, OPEN = Wording.FINISHED, Wording.UNFINISHED, Wording.OPEN

TABLE = [
    # Sentences.
    ("en", "I would like a cup of tea", OPEN),
    ("en", "I would like a cup of tea.", OPEN),
    ("en", "That is great!", OPEN),
    ("en", "i went to the shop and bought milk", OPEN),
    # Plainly unfinished.
    ("en", "I went to the shop and", UNFINISHED),
    ("en", "I went to the shop and.", UNFINISHED),
    ("en", "I wanted it but", UNFINISHED),
    ("en", "because", UNFINISHED),
    ("en", "and then I", UNFINISHED),
    ("en", "my favourite colour is", UNFINISHED),
    ("en", "I would like to", UNFINISHED),
    ("en", "I was thinking of", UNFINISHED),
    ("en", "I'd like", UNFINISHED),
    ("en", "give me the", UNFINISHED),
    ("en", "it was because of my", UNFINISHED),
    ("en", "I'm", UNFINISHED),
    ("en", "I think we\u2019re", UNFINISHED),
    ("en", "The", UNFINISHED),
    # Fillers.
    ("en", "um", UNFINISHED),
    ("en", "I need, uh", UNFINISHED),
    ("en", "so it's about, er", UNFINISHED),
    # Marks.
    ("en", "well...", UNFINISHED),
    ("en", "well\u2026", UNFINISHED),
    ("en", "On Monday,", UNFINISHED),
    ("en", "three things:", UNFINISHED),
    ("en", "I came;", UNFINISHED),
    ("en", "and so \u2014", UNFINISHED),
    ("en", "it is half-", UNFINISHED),
    ("en", "On Monday,  ", UNFINISHED),
    ("en", "...", OPEN),
    ("en", ",", OPEN),
    ("en", "?", OPEN),
    ("en", "", OPEN),
    ("en", "  \n ", OPEN),
    # Questions.
    ("en", "What time is it?", FINISHED),
    ("en", "you did what?", FINISHED),
    ("en", "and then?", FINISHED),
    ("en", "what time is it", OPEN),
    ("en", "Can you help me with that", OPEN),
    ("en", "don't you think it's late", FINISHED),
    ("en", "who's there now then", FINISHED),
    ("en", "what is", OPEN),
    ("en", "what is the weather like in london", FINISHED),
    ("en", "where do you think we should go", FINISHED),
    ("en", "can you find me a good book", FINISHED),
    # The beginnings of questions, and clauses that begin like questions.
    ("en", "can you tell me", OPEN),
    ("en", "could you please explain", OPEN),
    ("en", "could you tell me how", OPEN),
    ("en", "do you think that", OPEN),
    ("en", "when i was a kid", OPEN),
    ("en", "what i want to say", OPEN),
    ("en", "how i met my wife", OPEN),
    ("en", "so do i", OPEN),
    ("en", "where am I", OPEN),
    ("en", "can you tell me the", UNFINISHED),
    ("en", "what do you think and", UNFINISHED),
    # Questions and their prepositions.
    ("en", "Where are you from", OPEN),
    ("en", "what are you up to", OPEN),
    ("en", "who were you with", OPEN),
    ("en", "What are you talking about", OPEN),
    ("en", "what's it like", OPEN),
    ("en", "I don't know where he is from", UNFINISHED),
    # "so".
    ("en", "I think so", OPEN),
    ("en", "I don't think so.", OPEN),
    ("en", "a week or so", OPEN),
    ("en", "if you say so", OPEN),
    ("en", "it was raining so", UNFINISHED),
    ("en", "so", OPEN),
    # Single words and set phrases.
    ("en", "yes", FINISHED),
    ("en", "No.", FINISHED),
    ("en", "Stop!", FINISHED),
    ("en", "Thank you.", FINISHED),
    ("en", "never mind", FINISHED),
    ("en", "Yes, please.", FINISHED),
    ("en", "yes,", UNFINISHED),
    ("en", "I don't know", FINISHED),
    ("en", "I don\u2019t know", FINISHED),
    ("en", "tea", OPEN),
    ("en", "forty two", OPEN),
    ("en", "42", OPEN),
    # Other languages.
    ("de", "Ich hätte gern einen Tee", OPEN),
    ("de", "Ich hätte gern einen Tee und", UNFINISHED),
    ("de", "ich möchte, dass", UNFINISHED),
    ("de", "das ist mein", OPEN),
    ("de", "was ist das", OPEN),
    ("de", "schalte das Licht ein", OPEN),
    ("de", "äh", UNFINISHED),
    ("de", "WÄHREND", UNFINISHED),
    ("de", "Nein.", FINISHED),
    ("de", "Wie spät ist es?", FINISHED),
    ("fr", "je voudrais un thé", OPEN),
    ("fr", "donne-la", OPEN),
    ("fr", "parce que", UNFINISHED),
    ("fr", "je vais à", UNFINISHED),
    ("fr", "D'accord.", FINISHED),
    ("fr", "Tu viens ?", FINISHED),
    ("es", "quiero un té", OPEN),
    ("es", "dame una", OPEN),
    ("es", "no fui porque", UNFINISHED),
    ("es", "voy con", UNFINISHED),
    ("es", "Sí.", FINISHED),
    ("es", "si", OPEN),
    ("es", "¿Qué hora es?", FINISHED),
    # A language that is not known: only its marks are read.
    ("xx", "and", OPEN),
    ("xx", "yes", OPEN),
    ("xx", "what time is it", OPEN),
    ("auto", "und dann,", UNFINISHED),
    ("", "really?", FINISHED),
    ("ja", "今何時ですか", OPEN),
    # A word of one language is none of another's.
    ("de", "the", OPEN),
    ("en", "und", OPEN),
]


@pytest.mark.parametrize(("language", "text", "expected"), TABLE)
def test_how_it_ends(language, text, expected):
    assert wording(text, language) is expected


@given(st.text(max_size=200), st.sampled_from(["en", "de", "fr", "es", "auto", "", "zz"]))
@settings(max_examples=300, deadline=None)
def test_any_text_has_an_ending(text, language):
    assert wording(text, language) in Wording
    assert wording(text + "  ", language) is wording(text, language)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_marks_and_letter_case_are_no_part_of_the_words(text):
    assert words(f" ...{text}! ") == words(text)


@given(
    st.lists(
        st.sampled_from(["what", "is", "the", "time", "and", "my", "tea", "i", "think", "so", "yes", "please"]),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["en", "de"]),
)
@settings(max_examples=200, deadline=None)
def test_a_question_mark_ends_and_a_comma_does_not(said, language):
    assert wording(" ".join(said) + "?", language) is FINISHED
    assert wording(" ".join(said) + ",", language) is UNFINISHED


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Hello, you", "hello you.", True),
        ("it's", "it\u2019s", True),
        ("cafe\u0301", "caf\u00e9", True),
        ("what?", "what", True),
        ("  a  b ", "a b", True),
        ("दिन", "दीन", False),
        ("C++", "C", False),
        ("C#", "C", False),
        ("-5", "5", False),
        ("re-sign", "resign", False),
        ("hello you", "hello", False),
        ("", "a", False),
        ("", "...", True),
    ],
)
def test_whether_two_texts_say_the_same(one, other, same):
    assert alike(one, other) is same
    assert alike(other, one) is same
