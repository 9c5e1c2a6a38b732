"""The ledger: every unit of work is a row, and only a row's owner can finish it. Nothing lost, nothing twice.

Read in the order of a study's life: ``studies.register``, ``jobs.claims``, ``studies.accept``, ``settle``,
``summarise``, ``chat``. ``jobs.fence`` is the promise, ``jobs.kinds`` what each kind of job means.
"""
