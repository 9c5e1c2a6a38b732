"""The kinds of worker process: which jobs, which queues in which order, how many at once."""

from contextlib import ExitStack

from workers.decoder_cell import check_cell
from workers.ingest import Ingest
from workers.prepare import Prepare
from workers.process import start
from workers.settle import Settle
from xraygpt_core.clinical_sealing import load_clinical_opener, load_clinical_sealer
from xraygpt_core.exit_codes import START_AGAIN
from xraygpt_core.ledger.preflight import check_fingerprint, check_sealing_key
from xraygpt_core.ledger.training.serving import note_images
from xraygpt_core.privacy import load_pseudonymiser
from xraygpt_core.queue import CONTROL_QUEUE, queues_of
from xraygpt_core.sealing import load_sealer
from xraygpt_core.settings import Settings
from xraygpt_core.states import JobKind

_CONTROL_THREADS = 4  # one per round, so that a long sweep does not hold up a tick


def ingest(settings: Settings, closing: ExitStack) -> int:
    """Ingest and settle: settling is short and lets studies finish, so it goes first within a lane.

    Beside them, films of training runs are prepared.
    """
    check_cell(settings)
    pseudonymiser, sealer = load_pseudonymiser(settings), load_sealer(settings)
    clinical = load_clinical_sealer(settings)
    process = start("ingest", settings, closing, threads=settings.ingest_concurrency + 2)
    check_fingerprint(process.context.ledger, *(one.fingerprint for one in pseudonymiser.all))
    if sealer is not None:
        check_sealing_key(process.context.ledger, *sealer.fingerprints)
    work = Ingest(process.context, pseudonymiser, sealer=sealer, clinical=clinical)
    closing.callback(work.close)
    process.work_on({JobKind.INGEST: work, JobKind.SETTLE: Settle(process.context)})
    films = Prepare(process.context)
    closing.callback(films.close)
    process.work_beside({JobKind.PREPARE: films}, queues_of(JobKind.PREPARE))
    return process.run(queues_of(JobKind.SETTLE, JobKind.INGEST), settings.ingest_concurrency, urgent_thread=True)


def gpu(settings: Settings, closing: ExitStack) -> int:
    """Summaries and chat with the served bundle; beside them, its encoder's features of training runs."""
    from workers.encode import Encode
    from workers.gpu import GpuJobs
    from workers.serving import load_engine, watch

    threads, clinical = gpu_threads(settings), load_clinical_opener(settings)
    process = start("gpu", settings, closing, threads=threads)
    engine, bundle, wanted = load_engine(process.context)
    closing.callback(engine.close)
    reads = clinical is not None and bundle.reads_clinical
    note_images(process.context.ledger, wanted.name, bundle.images, clinical=reads)
    process.announcer.bundle = bundle.name, bundle.sha256, bundle.scope.document()
    work = GpuJobs(process.context, engine, bundle, process.stop, clinical if reads else None)
    process.work_on({JobKind.CHAT: work.chat, JobKind.SUMMARISE: work.summarise})
    features = Encode(process.context, bundle)
    features.announce()
    process.work_beside({JobKind.ENCODE: features}, queues_of(JobKind.ENCODE))
    watch(process.context.ledger, wanted, lambda: process.stop(START_AGAIN))
    return process.run([*queues_of(JobKind.CHAT), *queues_of(JobKind.SUMMARISE)], threads, urgent_thread=True)


def gpu_threads(settings: Settings) -> int:
    """A quarter more jobs than places on the device: a place that becomes free is filled at once."""
    return settings.batch_size + max(4, settings.batch_size // 4)


def training(settings: Settings, closing: ExitStack) -> int:
    """One run at a time: a run takes the whole device. The next ones are planned beside it."""
    from workers.plan import Planning
    from workers.training import Training

    process = start("training", settings, closing, threads=2)
    process.work_on({JobKind.TRAIN: Training(process.context)})
    process.work_beside({JobKind.PLAN: Planning(process.context)}, queues_of(JobKind.PLAN))
    return process.run(queues_of(JobKind.TRAIN), 1)


def control(settings: Settings, closing: ExitStack) -> int:
    """Dispatch, reconcile, sweep and retain, driven by celery beat inside the same process; and seal the audit."""
    from workers.audit_sealer import Sealer
    from workers.control import Control
    from xraygpt_core.ledger.actor import Actor
    from xraygpt_core.ledger.card.analyst_dates import show_analyst_dates

    process = start("control", settings, closing, threads=_CONTROL_THREADS)
    show_analyst_dates(process.context.ledger.acting(Actor("settings")))
    work = Control(process.context, process.app)
    closing.callback(work.start_clock(lambda: process.stop(1)))
    closing.callback(Sealer(process.context.ledger).start(lambda: process.stop(1)))
    return process.run([CONTROL_QUEUE], _CONTROL_THREADS)


def events(settings: Settings, closing: ExitStack) -> int:
    """Take bucket events from a queue; no Celery in it."""
    from workers.events import poll

    return poll(start("events", settings, closing, threads=1).context, closing)


ROLES = {"ingest": ingest, "gpu": gpu, "training": training, "control": control, "events": events}
