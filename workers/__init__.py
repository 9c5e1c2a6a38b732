"""The workers: Celery rings the doorbell, the ledger hands out the jobs and takes their results.

A message names no job. ``consumer`` claims the most urgent ones, ``executor`` runs each of them and records how it
ended, ``heartbeat`` keeps their leases, and one module per kind of job does the work.
"""
