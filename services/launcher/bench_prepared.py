"""What the worker counted of answers that it prepared in pauses: hits, head start and waste, over a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from services.launcher import http

KEPT = "kept"
_OUTCOMES = "parley_speculations_total"
_WON = "parley_speculation_won_seconds_bucket"
_SECONDS = "parley_speculation_wasted_seconds_total"
_CHARACTERS = "parley_speculation_wasted_characters_total"


@dataclass(frozen=True)
class Prepared:
    outcomes: Mapping[str, float] = field(default_factory=dict[str, float])
    """Prepared answers by what became of them."""
    won: Mapping[float, float] = field(default_factory=dict[float, float])
    """Kept answers whose head start was at most so many seconds."""
    wasted_seconds: float = 0.0
    wasted_characters: float = 0.0

    @property
    def total(self) -> float:
        return sum(self.outcomes.values())

    @property
    def hit_rate(self) -> float:
        """Share that was kept; not a number when nothing was prepared."""
        return self.outcomes.get(KEPT, 0.0) / self.total if self.total else math.nan

    def since(self, before: "Prepared") -> "Prepared":
        return Prepared(
            {name: count - before.outcomes.get(name, 0.0) for name, count in self.outcomes.items()},
            {bound: count - before.won.get(bound, 0.0) for bound, count in self.won.items()},
            self.wasted_seconds - before.wasted_seconds,
            self.wasted_characters - before.wasted_characters,
        )


def won_p50_s(won: Mapping[float, float]) -> float:
    """The median of a cumulative histogram, evenly spread within its bucket; not a number when it is empty."""
    below, counted = 0.0, 0.0
    half = max(won.values(), default=0.0) / 2
    for bound, count in sorted(won.items()):
        if half and count >= half:
            return below + (bound - below) * (half - counted) / (count - counted) if math.isfinite(bound) else below
        below, counted = bound, count
    return math.nan


def parse(text: str) -> Prepared:
    """From a worker's `/metrics`."""
    outcomes: dict[str, float] = {}
    won: dict[float, float] = {}
    wasted: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == _OUTCOMES:
                outcomes[sample.labels["outcome"]] = sample.value
            elif sample.name == _WON:
                won[float(sample.labels["le"])] = sample.value
            elif sample.name in (_SECONDS, _CHARACTERS):
                wasted[sample.name] = sample.value
    return Prepared(outcomes, won, wasted.get(_SECONDS, 0.0), wasted.get(_CHARACTERS, 0.0))


async def read(url: str) -> Prepared:
    """Raises http.NoAnswerError, ValueError."""
    _, body = await http.get(url, within=5.0)
    return parse(body.decode())


def said(prepared: Prepared) -> str:
    if not prepared.total:
        return "no answer was prepared in a pause"
    kept = prepared.outcomes.get(KEPT, 0.0)
    lost = ", ".join(f"{count:.0f} {name}" for name, count in sorted(prepared.outcomes.items()) if name != KEPT)
    return (
        f"prepared in pauses: {prepared.total:.0f} answers, {prepared.hit_rate:.0%} of them kept, with a head start of "
        f"{1000 * won_p50_s(prepared.won):.0f} ms (p50);\n"
        f"  wasted: {prepared.total - kept:.0f} answers ({lost or 'none'}), {prepared.wasted_seconds:.1f} s of "
        f"preparing, {prepared.wasted_characters:.0f} characters of text"
    )
