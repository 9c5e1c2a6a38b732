"""The ledger: every unit of work is a row, and only a row's owner can finish it. Nothing lost, nothing twice.

Read in the order of a study's life: register, jobs, ingest, settle, summarise, chat. ``fence`` is the promise.
"""
