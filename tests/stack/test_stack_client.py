"""The clients in the documentation talk to a running stack."""

import subprocess
import sys
import wave

from stack import ROOT, Stack


def run(stack: Stack, client: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / client), stack.socket_url, *arguments],
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
    printed = run(stack, "client.py", "--say", str(ROOT / "loadtest" / "speech" / "00-slt.wav"), "--out", str(out))
    assert "hello how are you today" in printed
    assert seconds_of(out) > 0.5


def test_it_types_and_hears(stack: Stack, tmp_path):
    out = tmp_path / "answer.wav"
    run(stack, "client.py", "--type", "I am a little tired", "--out", str(out))
    assert seconds_of(out) > 0.5


def test_the_smallest_one(stack: Stack, tmp_path):
    out = tmp_path / "answer.wav"
    printed = run(stack, "client_minimal.py", "I am a little tired", str(out))
    assert "tired" in printed
    assert seconds_of(out) > 0.5
