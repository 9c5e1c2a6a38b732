"""The exit codes of our processes that other processes act on; 0 and 1 mean what they always mean."""

UNFINISHED = 3  # a command ended, but something it asked for failed, was cancelled or still runs
INTERRUPTED = 130  # a command was interrupted (128 + SIGINT); what it started goes on
BROKEN = 70  # EX_SOFTWARE of sysexits.h: the process cannot go on; start another one, after a pause
START_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: all is well; start another one at once
