"""What a voice says for a piece of a language model's text, and how much of the piece a listener has heard.

Pure. Numbers, dates, currencies and abbreviations are left to the engine, which knows the language.
"""

import html
import re
from collections.abc import Callable

from services.dialogue import graphemes

Replacement = str | Callable[[re.Match[str]], str]


def speakable(text: str) -> str:
    """The words of `text` without Markdown, tags, stage directions, pictographs and addresses; "" if none are left.

    Pieces may begin or end in the middle of their markup. `speakable(speakable(text)) == speakable(text)`:
    rules are applied until nothing changes, since one may uncover work for another.
    """
    while (cleaned := _clean(text)) != text:
        text = cleaned
    return text if any(map(str.isalnum, text)) else ""


def heard(raw: str, fraction: float) -> str:
    """The beginning of a piece's raw text that was heard when `fraction` (0 to 1) of its audio was played.

    Ends after a word, or after an ideograph; never inside either. A word counts when three quarters of it were
    played, by the number of its letters. Grows with `fraction`; at 1 it is all of `raw`, at 0 nothing.
    """
    if fraction >= 1:
        return raw
    words = [
        (found.end(), graphemes.weight(speakable(found[0])), _pause(found[0])) for found in _HEARD_WORD.finditer(raw)
    ]
    played = fraction * sum(weight + pause for _, weight, pause in words)
    position, end = 0.0, 0
    for word_end, weight, pause in words:
        if weight and position + _ESSENTIAL * weight <= played and not graphemes.joined(raw, word_end):
            end = word_end
        position += weight + pause
    return raw[:end]


_ESSENTIAL = 0.75
# A word with what follows it to the next space; where no spaces are written, one syllable's sign with its marks.
_HEARD_WORD = re.compile(f"[{graphemes.WIDE}][{graphemes.WIDE_PARTS}]*[^\\w\\s]*|[^\\s{graphemes.WIDE}]+")


def _pause(word: str) -> int:
    """How long the voice rests after a word, in letters."""
    mark = word.rstrip("\"'”’»)]*_")[-1:]
    if mark and mark in ".!?…。！？।":
        return 4
    return 2 if mark and mark in ",;:，、；：—" else 1


# --- blocks: what takes lines of their own ---

_BLOCKS: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    # A fenced code block, also one whose end or whose content is in another piece.
    (re.compile(r"(?ms)^[ \t]*```[^`\n]*(?:\Z|\n.*?(?:^[ \t]*```[ \t]*$|\Z))"), ""),
    # Rules, underlines of headings, and the line under a table's head.
    (re.compile(r"(?m)^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$"), ""),
    (re.compile(r"(?m)^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)+$"), ""),
    # Where a link by name leads.
    (re.compile(r"(?m)^[ \t]*\[[^\[\]\n]+\]:[ \t]+\S+.*$"), ""),
    (re.compile(r"(?m)[ \t]+#+[ \t]*$"), ""),
)
_LINE_PREFIX = re.compile(r"[ \t]*(?:(?:>|#{1,6}(?=[ \t]|$)|[-*+•‣◦▪●–—](?=[ \t]|$))[ \t]*)+(?:\[[ xX]\][ \t]+)?")
_NUMBERED = re.compile(r"[ \t]*\d{1,3}[.)][ \t]")
_RESTS = ".!?…:;,—。！？，、；：।॥؟،"
_CLOSERS = "\"'”’»›)]}」』*_~` \t|"

# --- inside a line ---

_STAGE_WORDS = frozenset(
    [
        *["applause", "beat", "breath", "breathes", "breathing", "chuckle", "chuckles", "chuckling", "clap", "claps"],
        *["clears", "clearing", "cough", "coughs", "coughing", "cries", "crying", "excitedly", "frowns", "frowning"],
        *["gasp", "gasps", "gasping", "gently", "giggle", "giggles", "giggling", "grin", "grins", "grinning", "groan"],
        *["groans", "groaning", "hums", "humming", "laugh", "laughs", "laughing", "laughter", "leans", "mumbles"],
        *["nod", "nods", "nodding", "pause", "pauses", "pausing", "playfully", "quietly", "shrug", "shrugs", "sigh"],
        *["sighs", "sighing", "silence", "sings", "singing", "smile", "smiles", "smiling", "smirks", "sniffs", "sobs"],
        *["sobbing", "softly", "teasing", "teasingly", "thoughtfully", "warmly", "waves", "whisper", "whispers"],
        *["whispering", "wink", "winks", "winking", "yawn", "yawns", "yawning"],
    ]
)
_NO_ACTIONS = frozenset(["always", "as", "is", "its", "perhaps", "this", "thus", "towards", "was", "yes", "thing"])
_STOP_BEFORE = re.compile(r"(?:^|[.!?…\n\"”])\s*$")
_NEW_SENTENCE_AFTER = re.compile(r"\s*(?:$|[^\sa-z,;:.)])")


def _is_direction(words: str) -> bool:
    """Whether the text between two marks tells how something is said or done, by its first word."""
    found = re.match(r"[a-z]+", words.strip().lower())
    return found is not None and found[0] in _STAGE_WORDS and len(words.split()) <= 8


def _asterisks(found: re.Match[str]) -> str:
    """Emphasis keeps its words; *leans back*, a sentence of its own that begins with a verb, is acted, not said."""
    words = found[1].strip()
    first = words.split(" ")[0]
    acted = (
        first.islower()
        and first.endswith(("s", "ing"))
        and first not in _NO_ACTIONS
        and _STOP_BEFORE.search(found.string[: found.start()])
        and _NEW_SENTENCE_AFTER.match(found.string, found.end())
    )
    return " " if acted or _is_direction(words) else words


def _parentheses(found: re.Match[str]) -> str:
    return " " if _is_direction(found[1]) else found[0]


def _brackets(found: re.Match[str]) -> str:
    """A tag such as [happy] or [SPEAKER1] has up to three words; more are a sentence's."""
    return " " if len(found[1].split()) <= 3 else found[1]


def _host(found: re.Match[str]) -> str:
    """The host of an address, with the punctuation that followed the address."""
    address = found[0]
    rest = address[len(address.rstrip(".,;:!?)]}'*_`~|")) :]
    host = re.split(r"[/?#]", address.removesuffix(rest).split("://", 1)[-1], maxsplit=1)[0]
    return host.rsplit("@", 1)[-1].split(":", 1)[0].removeprefix("www.") + rest


def _loudest(found: re.Match[str]) -> str:
    return "?" if "?" in found[0] else "!"


_INLINE: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    (re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]\w{1,30});"), lambda found: html.unescape(found[0])),
    (re.compile(r"[\x00-\x08\x0e-\x1f\x7f\u00ad\u200b\u200e\u200f\u2060\ufeff\ufffc\ufffd]"), ""),
    # Addresses in angle brackets, then tags: <emotion>, </b>, <|end|>.
    (re.compile(r"<((?:https?://|mailto:)[^\s<>]+|[^\s<>@]+@[^\s<>@]+)>"), r"\1"),
    (re.compile(r"<!--.*?(?:-->|$)|<\|[^<>|\n]*\|?>|</?[A-Za-z][^<>\n]*>"), " "),
    # Images and links keep their words, also when the address is cut off; notes and citations go.
    (re.compile(r"!?\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\))*(?:\)|$)"), r"\1"),
    (re.compile(r"\]\([^\s()]*\)?"), ""),
    (re.compile(r"\[([^\[\]\n]+)\]\[\d*\]"), r"\1"),
    (re.compile(r"\[\^[^\[\]\n]*\]|\[\d+(?:[,–-]\s*\d+)*\]"), ""),
    (re.compile(r"\[([^\[\]\n]*)\]"), _brackets),
    (re.compile(r"\{\s*[A-Za-z_]*\s*\}|[\[\]{}]"), " "),
    (re.compile(r"\((?=[^()\n]{1,60}\))([^()\n]*)\)"), _parentheses),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
    (re.compile(r"(?:https?://|\bwww\.)[^\s<>\"]+"), _host),
    (re.compile(r"mailto:(?=\S)"), ""),
    (re.compile(r"(?<![\w@./-])(?:[a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}(?::\d+)?/[^\s<>\"]*"), _host),
    # Emphasis, struck and marked words, code.
    (re.compile(r"(?<=\d) ?\* ?(?=\d)"), " × "),
    (re.compile(r"(?<!\*)\*(?![*\s])([^*\n]+)(?<!\s)\*(?!\*)"), _asterisks),
    (re.compile(r"(?<![\w_])_(?![_\s])([^_\n]+)(?<!\s)_(?![\w_])"), _asterisks),
    (re.compile(r"(?<=\w)_+(?=\w)"), " "),
    (re.compile(r"[*`_~®™]|={2,}"), ""),
    (re.compile(r"(?<!\w)#+(?=\w*[^\W\d])|#{2,}"), ""),
    # Pictographs and emoticons.
    (re.compile(f"[{graphemes.PICTOGRAPHS}][{graphemes.PICTOGRAPHS}\u200d]*|(?:(?<=\\s)|^)\u200d+"), " "),
    (re.compile(r"(?<!\S)(?:[:;=]'?-?[)(DPpOo/\\|]+|<3)(?!\S)"), ""),
    # Punctuation as engines read it: marks that they would name become rests.
    (re.compile(r"[“”„‟«»]"), '"'),
    (re.compile(r"[‘’‚‛]"), "'"),
    (re.compile(r"…|\.(?: ?\.)+"), "..."),
    (re.compile(r" *(?:[\u2190-\u21ff|•·]|<?(?:-+|=+)>) *"), "—"),
    (re.compile(r"(?<=[.!?,;:—(\"]) *(?:[—―]|-{2,}|[–-] ) *"), " "),
    (re.compile(r" *[—―]+ *| *-{2,} *|(?<=[^\W\d]) +[–-] +|(?<=\S) +[–-] +(?=[^\W\d])"), ", "),
    (re.compile(r"[!?](?: *[!?])+"), _loudest),
    (re.compile(r"(?<=[!?])(?: *\.)+(?!\S)"), ""),
    (re.compile(r"(?<=[^.]\.)(?: +\.)+(?!\S)"), ""),
    (re.compile(r" *[,;:](?: *[,;:])* *(?=[.!?](?!\S))"), ""),
    (re.compile(r"([,;:])(?: *[,;:])+(?!\S)"), r"\1"),
    (re.compile(r"\( *\)|\" *\"(?!\w)"), ""),
    (re.compile(r"\( +"), "("),
    (re.compile(r" +(?=[,;:.!?)]+(?!\S))"), ""),
    # Engines rest at the full stop of a title.
    (re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|St|Mt)\.(?= [^\W\d_])"), r"\1"),
    (re.compile(r"\s+"), " "),
    (re.compile(r"^ ?(?:(?!\.\d)[ ,;:.!?)>—–])+|[ (]+$"), ""),
)


def _clean(text: str) -> str:
    for pattern, replacement in _BLOCKS:
        text = pattern.sub(replacement, text)
    text = _in_one_line(text)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text


def _in_one_line(text: str) -> str:
    """The lines as sentences one after the other: a line that ends without a rest gets a full stop.

    A line that only goes on in lower case after a break in a paragraph is one sentence with the line before.
    """
    said = ""
    paragraph = True
    for line in text.splitlines():
        found = _LINE_PREFIX.match(line)
        body = (line[found.end() :] if found else line).strip("| \t")
        if not body:
            paragraph = True
            continue
        starts = paragraph or found is not None or _NUMBERED.match(line) is not None
        last = said.rstrip(_CLOSERS)[-1:]
        if not last or last in _RESTS or not (starts or not body[0].islower()):
            said += " " + body
        else:
            said += ("。" if graphemes.weight(last) > 1 else ". ") + body
        paragraph = False
    return said.strip()
