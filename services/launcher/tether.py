"""Run a command that ends when its parent does, even when the parent is killed: `tether.py PARENT_PID COMMAND...`

Runs on its own (`python -I -S tether.py`), since between fork and exec of a process with threads nothing may be
done in Python. The kernel keeps the wish over exec. It is not inherited by the command's own children.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 127


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise SystemExit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        raise SystemExit("the launcher is gone")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        raise SystemExit(CANNOT_EXECUTE) from error


if __name__ == "__main__":
    main()
