from hypothesis import given
from hypothesis import strategies as st

from services.contracts import subjects
from services.edge import tokens

SECRET = b"one secret"


@given(st.integers(0, 2**128 - 1), st.binary(min_size=1))
def test_a_token_verifies_under_its_secret_only(number: int, other: bytes):
    sid = f"{number:032x}"
    token = tokens.issue(sid, SECRET)
    assert tokens.verify(token, SECRET) == sid
    if other != SECRET:
        assert tokens.verify(token, other) is None


@given(st.text())
def test_other_text_is_no_token(text: str):
    assert tokens.verify(text, SECRET) is None


@given(st.data())
def test_no_changed_token_verifies(data: st.DataObject):
    token = tokens.issue(subjects.new_id(), SECRET)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters().filter(lambda letter: letter != token[place]))
    assert tokens.verify(token[:place] + letter + token[place + 1 :], SECRET) is None


def test_the_signature_of_one_session_does_not_open_another():
    first, second = (tokens.issue(subjects.new_id(), SECRET) for _ in range(2))
    assert tokens.verify(first.partition(".")[0] + "." + second.partition(".")[2], SECRET) is None
