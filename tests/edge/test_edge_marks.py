from services.contracts.assignment import Mark
from services.edge.marks import KEPT, Marks


def asked(sequence: int | None = 7, heard_us: int = 0) -> Mark:
    return Mark(generation=3, sequence=sequence, heard_us=heard_us)


def test_a_spoken_turn_is_found_by_the_number_of_its_last_frame():
    marks = Marks()
    for number in range(10):
        marks.heard(number, 100.0 + number)
    marks.ask(asked())
    assert marks.generation == 3
    marks.took(120.0)
    marks.took(120.5)
    found = marks.sent(121.0)
    assert found is not None
    mark, marked = found
    assert mark == asked()
    assert marked.generation == 3
    assert (marked.heard_us, marked.took_us, marked.sent_us) == (107_000_000, 120_000_000, 121_000_000)


def test_a_typed_turn_keeps_the_time_that_the_edge_wrote_itself():
    marks = Marks()
    marks.ask(asked(None, heard_us=99))
    marks.took(120.0)
    found = marks.sent(121.0)
    assert found is not None
    assert found[1].heard_us == 99


def test_only_the_first_frame_is_told():
    marks = Marks()
    marks.ask(asked())
    marks.took(120.0)
    assert marks.sent(121.0) is not None
    assert marks.generation == -1
    assert marks.sent(122.0) is None


def test_a_frame_of_long_ago_and_one_that_never_came_are_not_known():
    marks = Marks()
    marks.heard(7, 100.0)
    marks.heard(7 + KEPT, 200.0)
    marks.ask(asked())
    marks.took(220.0)
    found = marks.sent(221.0)
    assert found is not None
    assert found[1].heard_us == 0


def test_a_later_mark_replaces_one_whose_answer_never_came():
    marks = Marks()
    marks.ask(asked())
    marks.took(1.0)
    marks.ask(Mark(generation=4))
    assert marks.generation == 4
    assert marks.sent(2.0) is None
