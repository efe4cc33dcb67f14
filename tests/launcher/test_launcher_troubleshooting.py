"""docs/troubleshooting.md quotes what people see; the quotes are held to what is really said."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("scripts/setup.sh", "services/**/*.py", "frontend/js/*.js")


def said() -> str:
    """All that the sources say, with line breaks within strings taken out."""
    text = "\n".join(path.read_text() for pattern in SOURCES for path in sorted(ROOT.glob(pattern)))
    return re.sub(r'"\s*\n\s*f?"', "", text).replace("\\", "")


def quotes() -> list[str]:
    """The sentences in bold quotation marks: what the page shows."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    return [
        quote for line in re.findall(r"^\*\*.*\*\*.*$", text, re.MULTILINE) for quote in re.findall('"([^"]+)"', line)
    ]


def test_what_the_page_is_quoted_with_is_what_it_says() -> None:
    everything = said()
    assert len(quotes()) > 8
    assert [quote for quote in quotes() if quote not in everything] == []


def test_what_the_terminal_is_quoted_with_is_what_it_says() -> None:
    everything = said()
    for words in (
        "Python 3.11 or 3.12 is needed and was not found.",
        "install them with this command, and start again: sudo apt-get install -y",
        "the packages could not be installed",
        "from 2 on, Triton's Python stub corrupts audio without any error",
        "is taken, so the page is on port",
        "Parley goes on without a model: ",
        "it does not start",
        "stacks run from",
        "processes that an earlier run left",
        "and Triton's models want",
        "the server there could not be asked for its models: ",
        "answers no more (",
        "this is not NAME=value.",
        ": nothing reads this variable; did you mean ",
        "this machine cannot listen on ",
        " cannot be used: ",
        "these system packages are missing: ",
    ):
        assert words in everything
        assert words in (ROOT / "docs" / "troubleshooting.md").read_text()
