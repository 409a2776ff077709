"""Runs one command, and ends it and all that it started when standard input ends.

Whoever started this holds the other end of the pipe: when that process is gone, however it went, so is the server. The
guard leads a session of its own, so that ending its process group ends these processes and no others. It is run as a
file, by any Python, and imports nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 5.0


def main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_stdin, args=(child,), daemon=True).start()
    return child.wait()


def _end_with_stdin(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    deadline = time.monotonic() + GRACE
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
