"""How long a failing replica is waited for, with a clock of the test's."""

from services.speech.errors import Reason
from services.speech.replicas import OUTAGE_SECONDS, Replicas
from services.speech.retry import Patience


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_an_outage_lasts_from_the_first_failure_to_an_answer():
    clock = Clock()
    replicas = Replicas("127.0.0.1:1", clock)
    (replica,) = replicas.all()
    assert replicas.outage() == 0.0
    for _ in range(3):
        replicas.avoid(replica, Reason.UNREACHABLE)
        clock.now += 1.0
    assert replicas.outage() == 3.0
    replicas.answered(replica)
    assert replicas.outage() == 0.0
    replicas.avoid(replica, Reason.FAILED)
    assert replicas.outage() == 0.0
    await replicas.close()


async def test_a_failure_long_after_the_last_is_another_outage():
    clock = Clock()
    replicas = Replicas("127.0.0.1:1", clock)
    (replica,) = replicas.all()
    replicas.avoid(replica, Reason.UNREACHABLE)
    clock.now += OUTAGE_SECONDS + 1
    assert replicas.outage() == 0.0
    replicas.avoid(replica, Reason.UNREACHABLE)
    clock.now += 1.0
    assert replicas.outage() == 1.0
    await replicas.close()


async def test_it_is_no_outage_while_one_replica_does_not_fail_or_is_merely_full():
    clock = Clock()
    replicas = Replicas("127.0.0.1:1,127.0.0.1:2", clock)
    one, other = replicas.all()
    replicas.avoid(one, Reason.UNREACHABLE)
    replicas.avoid(other, Reason.AT_CAPACITY)
    clock.now += 1.0
    assert replicas.outage() == 0.0
    replicas.avoid(other, Reason.UNREACHABLE)
    assert replicas.outage() == 0.0
    clock.now += 1.0
    assert replicas.outage() == 1.0
    await replicas.close()


def test_what_is_left_by_what_was_met():
    patience = Patience(2.5, 0.5, of_outage=True)
    assert patience.left({Reason.UNREACHABLE, Reason.FAILED}, asking=1.0, outage=0.0) == 1.5
    assert patience.left({Reason.UNREACHABLE}, asking=0.0, outage=2.0) == 0.5
    assert patience.left({Reason.FAILED}, asking=0.25, outage=0.0) == 0.25
    assert patience.left({Reason.AT_CAPACITY, Reason.FAILED}, asking=1.0, outage=9.0) == 1.5
    assert Patience(3.0, 3.0).left({Reason.FAILED}, asking=1.0, outage=9.0) == 2.0
