"""The one-machine stack: database, broker, S3 and our own processes as children of one supervisor.

``launch`` starts it from outside, ``supervisor`` starts everything in order and keeps it running, ``servers`` are the
ones from wheels, ``settings`` what a data directory remembers, ``processes`` what is true of any child process.
"""
