"""How much one client and one address may ask for. Pure: the time is passed in, in seconds of any one clock."""

import ipaddress
from collections import OrderedDict
from enum import Enum, auto


class TokenBucket:
    """`rate` per second on average, `burst` at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more is within the limit; counts it if so."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class AddressLimits:
    """Connects per address, over a bounded table: the address that was quiet the longest leaves it first."""

    def __init__(self, rate: float, burst: float, addresses: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._addresses = addresses
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, address: str, now: float) -> bool:
        """Whether this address may connect once more now."""
        key = network(address)
        bucket = self._buckets.pop(key, None) or TokenBucket(self._rate, self._burst, now)
        self._buckets[key] = bucket
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)
        return bucket.take(now)


def network(address: str) -> str:
    """Who an address stands for: itself in IPv4, its /64 in IPv6, of which every host has 2^64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address


AUDIO_PER_SECOND = 100.0
AUDIO_BURST = 200.0
COMMANDS_PER_SECOND = 20.0
COMMANDS_BURST = 60.0
NOTICES_PER_SECOND = 1.0
ABUSE_REFUSALS = 1000
ABUSE_SECONDS = 5.0


class Verdict(Enum):
    TAKE = auto()
    REFUSE = auto()
    """Not taken, and nothing is said: the client was told within the last second."""
    REFUSE_AND_SAY = auto()
    END = auto()
    """Not a client that is a little too fast: end the connection."""


class MessageLimits:
    """One connection's messages."""

    def __init__(self, now: float) -> None:
        self._audio = TokenBucket(AUDIO_PER_SECOND, AUDIO_BURST, now)
        self._commands = TokenBucket(COMMANDS_PER_SECOND, COMMANDS_BURST, now)
        self._notices = TokenBucket(NOTICES_PER_SECOND, NOTICES_PER_SECOND, now)
        self._window = now
        self._refusals = 0

    def audio(self, now: float) -> Verdict:
        return Verdict.TAKE if self._audio.take(now) else self.refuse(now)

    def command(self, now: float) -> Verdict:
        return Verdict.TAKE if self._commands.take(now) else self.refuse(now)

    def refuse(self, now: float) -> Verdict:
        """Count a message that is not taken, for whatever reason; says what to do about it."""
        if now - self._window >= ABUSE_SECONDS:
            self._window = now
            self._refusals = 0
        self._refusals += 1
        if self._refusals >= ABUSE_REFUSALS:
            return Verdict.END
        return Verdict.REFUSE_AND_SAY if self._notices.take(now) else Verdict.REFUSE
