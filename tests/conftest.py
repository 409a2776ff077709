"""For every test: Ctrl-C as a user at a terminal has it. A shell starts what runs in its background with it ignored."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
