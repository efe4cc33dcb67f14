"""A talker that types: no microphone, its answers are spoken to it all the same."""

from loadtest.talking import Phase, Talker, Turn
from loadtest.wires import ParleyWire


class Typist(Talker):
    """Takes a `ParleyWire`: other systems' wires have nothing typed."""

    speaks = False
    _wire: ParleyWire

    def _speak(self, due: float) -> None:
        self._turn = Turn(0.0, ended_at=due + self._wall_offset)
        self._ended = due
        self.phase = Phase.WAITING
        self.began = True
        text = self._script.text(self._choose)
        self._send_all(self._wire.typed(text, (due + self._wall_offset) * 1000))
