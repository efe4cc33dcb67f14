"""The client in the documentation talks to a running stack."""

import subprocess
import sys
import wave

from stack import ROOT, Stack

CLIENT = ROOT / "docs" / "client.py"


def run(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(CLIENT), stack.socket_url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def seconds_of(path) -> float:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        return file.getnframes() / file.getframerate()


def test_it_speaks_and_hears(stack: Stack, tmp_path):
    out = tmp_path / "answer.wav"
    printed = run(stack, "--say", str(ROOT / "loadtest" / "speech" / "00-slt.wav"), "--out", str(out))
    assert "hello how are you today" in printed
    assert seconds_of(out) > 0.5


def test_it_types_and_hears(stack: Stack, tmp_path):
    out = tmp_path / "answer.wav"
    run(stack, "--type", "I am a little tired", "--out", str(out))
    assert seconds_of(out) > 0.5
