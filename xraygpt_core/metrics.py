"""Prometheus metrics. Labels are words of :mod:`xraygpt_core.states` and route templates: never an id, a key or a name.

Counters live in the process that counts, and each process shows those that it counts and no others: a zero of another
one would look like a fact. Jobs by state and their age are read from the ledger when the gateway is scraped, so they
are right after any process died.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

# The gateway.
HTTP_REQUESTS = Counter("xraygpt_http_requests_total", "Requests answered", ["method", "route", "status"])
HTTP_SECONDS = Histogram("xraygpt_http_request_seconds", "Time to answer", ["route"], buckets=_SECONDS)
HTTP_REFUSED = Counter("xraygpt_http_refused_total", "Connections ended without an answer of a route", ["reason"])
INGEST_EVENTS = Counter("xraygpt_ingest_events_total", "Bucket events by dialect and outcome", ["source", "result"])
SQS_MESSAGES = Counter("xraygpt_sqs_messages_total", "Messages of the event queue by outcome", ["result"])

# Also counted by the workers that read a picture for the model.
PICTURES_REFUSED = Counter("xraygpt_pictures_refused_total", "Stored pictures that are not what ingest made")

# Workers and control.
JOB_ATTEMPTS = Counter("xraygpt_job_attempts_total", "Claims taken", ["kind"])
LEASE_LOST = Counter("xraygpt_lease_lost_total", "Jobs whose lease went to another worker", ["kind"])
TASK_EVENTS_DROPPED = Counter("xraygpt_task_events_dropped_total", "Events for Flower that the broker did not take")
BUCKETS_AWAY = Gauge(
    "xraygpt_buckets_away", "1 while this process begins no jobs for want of these buckets", ["buckets"]
)
STAGE_SECONDS = Histogram("xraygpt_stage_seconds", "Time a job ran", ["stage"], buckets=_SECONDS)
HISTOGRAM_GAPS = Histogram(
    "xraygpt_histogram_gaps", "Share of an image's grey levels that never occur", buckets=(0.05, 0.1, 0.25, 0.5, 0.75)
)
DECODER_ENDED = Counter("xraygpt_decoder_ended_total", "Decoding processes that a file brought to an end", ["result"])
MISSED_BY_EVENT = Counter("xraygpt_ingest_missed_by_event_total", "Objects only the bucket sweep found")

# The audit, as control seals it: what was seen here is not the database owner's to change.
AUDIT_SEALED = Counter("xraygpt_audit_sealed_total", "Audit rows sealed")
AUDIT_POSITION = Gauge("xraygpt_audit_position", "Seals in the audit's chain")
AUDIT_HEAD = Gauge("xraygpt_audit_head", "The first 48 bits of the last seal's digest, as a number")
AUDIT_CUT = Counter("xraygpt_audit_cut_total", "Times a seal that this process knew was gone or another one")

# The rollups of what operators look at, as control fills them.
ROLLED_UP_UNTIL = Gauge(
    "xraygpt_rolled_up_until_seconds", "The time up to which jobs are counted, in seconds since 1970"
)

# The engine.
BATCH_OCCUPANCY = Histogram(
    "xraygpt_batch_occupancy", "Requests in a batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
ENGINE_REQUESTS = Gauge("xraygpt_engine_requests", "Requests on the device (running) and before it", ["state"])
ENGINE_KV_TOKENS = Gauge("xraygpt_engine_kv_tokens", "Keys and values: tokens used, and room for tokens", ["state"])
ENGINE_PREFILL_SECONDS = Counter("xraygpt_engine_prefill_seconds_total", "Time spent encoding and reading prompts")
ENGINE_DECODE_SECONDS = Counter("xraygpt_engine_decode_seconds_total", "Time spent in decode steps")
# Their quotient is the share of what the device could do at best: benchmarks measure the same.
ENGINE_BUSY_SECONDS = Counter("xraygpt_engine_busy_seconds_total", "Time with something to do")
ENGINE_IDEAL_SECONDS = Counter(
    "xraygpt_engine_ideal_seconds_total", "Least time the same work needs, by measured rates"
)
TOKENS = Counter("xraygpt_tokens_total", "Tokens generated")
SUMMARIES = Counter("xraygpt_summaries_total", "Summaries committed")
WORDS_UNOPENED = Counter(
    "xraygpt_words_unopened_total", "Attempts at a text without words of its film, which were sealed for another key"
)
IMAGES_REFUSED = Counter("xraygpt_images_refused_total", "Images the chest check refused")
OUT_OF_SCOPE = Counter(
    "xraygpt_out_of_scope_total", "Summaries and answers about films the model was not made for", ["kind"]
)
CONTRADICTIONS = Counter("xraygpt_contradictions_total", "Summaries and answers with a contradiction", ["kind"])

# The machine's GPUs, as the workers that use them see them.
DEVICE_UTILISATION = Gauge("xraygpt_device_utilisation", "Share of the time that a GPU was busy", ["device"])
DEVICE_MEMORY_BYTES = Gauge("xraygpt_device_memory_bytes", "Memory of a GPU", ["device", "state"])

_EVERY_WORKER = (TASK_EVENTS_DROPPED,)
_DOES_JOBS = (*_EVERY_WORKER, JOB_ATTEMPTS, LEASE_LOST, BUCKETS_AWAY, STAGE_SECONDS)
_DEVICES = (DEVICE_UTILISATION, DEVICE_MEMORY_BYTES)
_OWNED: Mapping[str, tuple[Counter | Gauge | Histogram, ...]] = {
    "gateway": (HTTP_REQUESTS, HTTP_SECONDS, HTTP_REFUSED, INGEST_EVENTS, PICTURES_REFUSED),
    "ingest": (*_DOES_JOBS, HISTOGRAM_GAPS, DECODER_ENDED),
    "gpu": (
        *(*_DOES_JOBS, *_DEVICES, PICTURES_REFUSED, BATCH_OCCUPANCY, ENGINE_REQUESTS, ENGINE_KV_TOKENS),
        *(ENGINE_PREFILL_SECONDS, ENGINE_DECODE_SECONDS, ENGINE_BUSY_SECONDS, ENGINE_IDEAL_SECONDS),
        *(TOKENS, SUMMARIES, WORDS_UNOPENED, IMAGES_REFUSED, OUT_OF_SCOPE, CONTRADICTIONS),
    ),
    "training": (*_DOES_JOBS, *_DEVICES),
    "control": (*_EVERY_WORKER, MISSED_BY_EVENT, AUDIT_SEALED, AUDIT_POSITION, AUDIT_HEAD, AUDIT_CUT, ROLLED_UP_UNTIL),
    "events": (*_EVERY_WORKER, INGEST_EVENTS, SQS_MESSAGES),
}


def registry_of(process: str) -> CollectorRegistry:
    """The metrics of one kind of process, and what the operating system and Python say of it.

    Args:
        process: a name of :data:`xraygpt_core.logins.PROCESSES`.
    """
    registry = CollectorRegistry()
    for metric in _OWNED[process]:
        registry.register(metric)
    for collect in (ProcessCollector, PlatformCollector, GCCollector):
        collect(registry=registry)
    return registry


def tokens_generated() -> float:
    """How many tokens this process generated since it began."""
    return sum(
        sample.value
        for family in TOKENS.collect()
        for sample in family.samples
        if sample.name == "xraygpt_tokens_total"
    )


def jobs_by_state(counts: Iterable[Mapping[str, Any]]) -> CollectorRegistry:
    """``xraygpt_jobs`` and ``xraygpt_job_oldest_age_seconds`` as the ledger has them now.

    Args:
        counts: rows of :func:`xraygpt_core.ledger.jobs.status.status_counts`.
    """
    registry = CollectorRegistry()
    labels = ("kind", "lane", "state")
    jobs = Gauge("xraygpt_jobs", "Open and dead jobs in the ledger", labels, registry=registry)
    age = Gauge("xraygpt_job_oldest_age_seconds", "Age of the oldest of them", labels, registry=registry)
    for count in counts:
        words = [str(count[label]) for label in labels]
        jobs.labels(*words).set(count["jobs"])
        age.labels(*words).set(count["oldest_seconds"] or 0.0)
    return registry


def open_training(runs: Iterable[Mapping[str, Any]]) -> CollectorRegistry:
    """``xraygpt_training_…``: the training runs that are not over, as the ledger has them now.

    Args:
        runs: rows of :func:`xraygpt_core.ledger.training.phases.open_runs`.
    """
    registry = CollectorRegistry()
    labels = ("stage", "state")
    count = Gauge("xraygpt_training_runs", "Training runs that are not over", labels, registry=registry)
    figures = {
        "loss": Gauge("xraygpt_training_loss", "Loss of the run that trains", ["stage"], registry=registry),
        "held_out": Gauge("xraygpt_training_held_out_loss", "Its held-out loss", ["stage"], registry=registry),
        "samples_per_s": Gauge("xraygpt_training_samples_per_second", "Samples a second", ["stage"], registry=registry),
    }
    for run in runs:
        count.labels(run["stage"], run["state"]).set(run["runs"])
        for name, gauge in figures.items():
            if run["state"] == "running" and run[name] is not None:
                gauge.labels(run["stage"]).set(run[name])
    return registry
