"""The workers: Celery on one side, the ledger on the other. A task is a job id in, one piece of work, a state out.

``edge`` is what every job passes through, ``heartbeat`` keeps its lease, and one module per kind says what is done.
"""
