"""The words of the system: states, lanes, job kinds and reason codes. Stored, shown and sent as written here."""

from enum import IntEnum, StrEnum


class Lane(StrEnum):
    """How urgent a job is. Workers empty the lanes in this order."""

    STAT = "stat"  # a clinician waits beside the patient
    ROUTINE = "routine"  # today's work
    BACKLOG = "backlog"  # yesterday's work: uses the capacity that is left

    @property
    def rank(self) -> int:
        """0 is the most urgent. The database stores it: a lane that is put between others needs a migration."""
        return list(Lane).index(self)

    @classmethod
    def of_rank(cls, rank: int) -> "Lane":
        """The lane of a stored rank."""
        return list(cls)[rank]


class ImageRole(StrEnum):
    """What a film is to the study that a text is written about."""

    FRONTAL = "frontal"  # the study's own, and there in every request
    LATERAL = "lateral"  # the study's own
    PRIOR = "prior"  # the frontal film of the same patient's study before


class JobKind(StrEnum):
    """What a job does; each kind has a queue per lane, named ``<kind>.<lane>``."""

    INGEST = "ingest"  # image: fetch, parse safely, normalise, store
    SETTLE = "settle"  # study: are all images here, which one is summarised
    SUMMARISE = "summarise"  # study: encode, project, generate
    CHAT = "chat"  # turn: the same engine, conversation and question
    PLAN = "plan"  # training run: read and check its sets, cut them into shards
    PREPARE = "prepare"  # shard of images: fetch, parse safely, normalise, store, as ingest does
    ENCODE = "encode"  # shard and encoder: the features of its images, once
    TRAIN = "train"  # training run: a child process


class JobState(StrEnum):
    """Where a unit of work stands in the ledger."""

    QUEUED = "queued"  # waiting for a worker, or for its not_before
    RUNNING = "running"  # leased to one worker until lease_until
    DONE = "done"  # its result rows were written in the same transaction
    DEAD = "dead"  # attempts used up; last_error says why; replay makes it queued
    CANCELLED = "cancelled"  # a person, or a newer object, made it pointless


class ImageState(StrEnum):
    """Where one object of the bucket stands."""

    RECEIVED = "received"  # registered; its ingest job is open
    ACCEPTED = "accepted"  # normalised and part of a study
    REJECTED = "rejected"  # will never be summarised; reason_code says why
    DEAD = "dead"  # its ingest job is dead
    CANCELLED = "cancelled"  # replaced by a newer object, or cancelled by a person


class StudyState(StrEnum):
    """Where a study stands. The first five are open, the last four terminal.

    ``ingesting`` and ``running`` are never stored: a live lease says them (:mod:`xraygpt_core.ledger.studies.read`).
    """

    RECEIVED = "received"  # an image is registered, none is read yet
    INGESTING = "ingesting"  # an ingest worker holds one of its images
    WAITING = "waiting"  # an image is read; the rest of the study may still come
    QUEUED = "queued"  # settled; its summarise job waits for a GPU worker
    RUNNING = "running"  # a GPU worker holds it
    SUMMARISED = "summarised"  # it has a current summary
    REJECTED = "rejected"  # none of its images can be summarised
    DEAD = "dead"  # work failed for the last time; see dead_jobs
    CANCELLED = "cancelled"  # cancelled by a person, or purged


TERMINAL_STUDY_STATES = frozenset({StudyState.SUMMARISED, StudyState.REJECTED, StudyState.DEAD, StudyState.CANCELLED})


class RunState(StrEnum):
    """Where a training run stands. ``paused`` is never stored: a run that a person paused, and that no worker holds."""

    QUEUED = "queued"  # waits for a training worker, or for its device
    PLANNING = "planning"  # its sets are read and checked
    PREPARING = "preparing"  # its films are normalised
    ENCODING = "encoding"  # the frozen encoder's features are made
    RUNNING = "running"  # a training worker took it
    PAUSED = "paused"  # a person stopped it for a while; it goes on from its checkpoint
    DONE = "done"  # its result is there, and may be served
    DEAD = "dead"  # it failed; ``failure`` says why
    CANCELLED = "cancelled"  # a person stopped it for good


class Failure(StrEnum):
    """Why a training run failed, in our own words: what its process said may name files and quote texts."""

    NOT_FINITE = "not_finite"  # the loss or a gradient is NaN or infinite
    BAD_DATA = "bad_data"  # the sets, a pair or a file of them is not as it must be
    BAD_SETTINGS = "bad_settings"  # the configuration does not fit its bundle
    BAD_CHECKPOINT = "bad_checkpoint"  # the checkpoint is of another run, or broken
    DISK_FULL = "disk_full"  # no room on the worker's disk
    OUT_OF_MEMORY = "out_of_memory"  # no room on the device or in the machine
    DEVICE_LOST = "device_lost"  # the device does not answer
    MACHINE = "machine"  # something else of the machine
    CRASHED = "crashed"  # it was killed, or left without a word
    UNKNOWN = "unknown"  # something that would happen again


class ShadowState(StrEnum):
    """Where one text of a comparison is."""

    OPEN = "open"  # to be written
    WRITTEN = "written"
    TAKEN = "taken"  # the draft that the study had already, of this bundle and this film
    FAILED = "failed"  # its reason is a word of ShadowFailure


class ShadowFailure(StrEnum):
    """Why a bundle has no text about a film."""

    NOT_A_CHEST = "not_a_chest"  # its chest check refused the film
    PICTURE = "picture"  # a stored picture is gone, is not the one that ingest read, or is the prior no more
    WORDS = "words"  # what was known of the film is gone, or does not open
    UNREADABLE = "unreadable"  # the model cannot use the picture
    MODEL = "model"  # it failed on the film
    EMPTY = "empty"  # it wrote nothing


class Role(StrEnum):
    """What a key or a session may do; it may hold several. Each route says which of them open it."""

    READER = "reader"  # a radiologist: lists, films, texts, questions, and reviews in the own name
    LEAD = "lead"  # a reader who may also take back others' reviews, cancel, and ask for new summaries
    ANALYST = "analyst"  # SQL over the views; no film
    OPERATOR = "operator"  # backlogs, dead jobs, submitting, queues; no text and no film
    ADMIN = "admin"  # keys, purges, the served bundle, training, the audit; no text and no film
    SERVICE = "service"  # a program: hands objects in, learns what became of them, reads the results
    TRAINER = "trainer"  # training runs and what they show of films and texts; nothing else of a study


class ReasonCode(StrEnum):
    """Why an image or study is rejected (or, ``replaced``, cancelled)."""

    NOT_DICOM_OR_IMAGE = "not_dicom_or_image"  # neither DICOM nor PNG nor JPEG
    EMPTY = "empty"  # zero bytes
    TRUNCATED = "truncated"  # fewer bytes than its own header promises
    UNDECODABLE = "undecodable"  # the codec failed, crashed, or ran out of its time or memory
    NO_PIXELS = "no_pixels"  # a DICOM file without an image
    BLANK = "blank"  # every pixel has the same value, or all is noise: an unexposed plate
    TOO_SMALL = "too_small"  # the shorter side is below 224 pixels
    MULTI_FRAME = "multi_frame"  # more than one frame: a cine loop or a volume
    WRONG_MODALITY = "wrong_modality"  # not a projection radiograph
    WRONG_BODY_PART = "wrong_body_part"  # a radiograph of something else
    NO_FRONTAL_VIEW = "no_frontal_view"  # the study has lateral and oblique views only
    BURNED_IN_TEXT = "burned_in_text"  # the header says that patient data is in the pixels
    TOO_LARGE = "too_large"  # above the byte or pixel limit
    REPLACED = "replaced"  # the object was overwritten before it was read
    NOT_A_CHEST = "not_a_chest"  # the pixels show something else than a chest radiograph


class Rejection(StrEnum):
    """Why a person rejects a draft (:mod:`xraygpt_core.rejections`)."""

    MISSED_FINDING = "missed_finding"  # it misses a finding
    FALSE_FINDING = "false_finding"  # it states a finding that the film does not show
    WRONG_PLACE = "wrong_place"  # a finding is on the wrong side or in the wrong place
    WRONG_CERTAINTY = "wrong_certainty"  # it is too sure, or not sure enough
    CONTRADICTS_ITSELF = "contradicts_itself"
    POOR_FILM = "poor_film"  # the film is not good enough to be read
    WRONG_FILM = "wrong_film"  # it is the wrong film, or another patient's
    NOT_USEFUL = "not_useful"  # it is too vague to be of use
    OTHER = "other"  # something else, which the words behind it say


class Origin(IntEnum):
    """How the pixels came about; of the images of a study, one with a smaller number is the better to summarise."""

    DETECTOR = 0  # the film itself, or a header that says nothing else
    PROCESSED = 1  # derived, for a reason that makes it no worse a film: the device's own processing, or compression
    DERIVED = 2  # derived, and the header does not say how
    FOR_PROCESSING = 3  # the detector's raw values
    COMPUTED = 4  # shows less than a film, or more: soft tissue, subtracted, suppressed, enhanced, marked
    BONE = 5  # without lungs


class Flag(StrEnum):
    """What a reader of the summary must know about its image or its text."""

    BODY_PART_UNKNOWN = "body_part_unknown"  # a CR/DX that does not say what it shows
    BURNED_IN_UNCHECKED = "burned_in_unchecked"  # nothing says that the pixels are free of patient data
    NOT_VERIFIED_CHEST = "not_verified_chest"  # a bare picture: nothing says that it is a chest
    SECONDARY_CAPTURE = "secondary_capture"  # a copy of an image, not the detector's own
    VIEW_UNKNOWN = "view_unknown"  # the header says neither frontal nor lateral, or both
    SYNTHETIC = "synthetic"  # a phantom, not a person
    SOP_UID_REUSED = "sop_uid_reused"  # two different images carry one SOPInstanceUID
    SUPERSEDES_REVIEWED = "supersedes_reviewed"  # a newer draft beside a summary that was reviewed
    HEADER_CONTRADICTS_PIXELS = "header_contradicts_pixels"  # the labels were wrong; the pixel data decided
    IMPLAUSIBLE_PIXELS = "implausible_pixels"  # the picture does not look like a film that was decoded rightly
    CHEST_UNCERTAIN = "chest_uncertain"  # the pixels may show something else than a chest
    STUDY_UID_SHARED = "study_uid_shared"  # another patient's images carry the same StudyInstanceUID
    DERIVED_IMAGE = "derived_image"  # computed from a film, such as a bone or soft-tissue image; no other was there
    FOR_PROCESSING = "for_processing"  # the detector's raw values, not made for reading; no other image was there
    ORIENTATION_UNCERTAIN = "orientation_uncertain"  # it may be turned or mirrored
    OUT_OF_SCOPE = "out_of_scope"  # the model was not made for, or not measured on, films like this one
    CUT_OFF = "cut_off"  # the model reached its longest answer before its text had ended
    CONSISTENCY = "consistency"  # two sentences of the text, or its view and the header's, contradict each other


# A draft beside one of these is not offered for signing as if it were like any other.
DOUBTS = frozenset({
    Flag.HEADER_CONTRADICTS_PIXELS, Flag.IMPLAUSIBLE_PIXELS, Flag.CHEST_UNCERTAIN, Flag.NOT_VERIFIED_CHEST,
    Flag.DERIVED_IMAGE, Flag.FOR_PROCESSING, Flag.ORIENTATION_UNCERTAIN, Flag.OUT_OF_SCOPE, Flag.CUT_OFF,
    Flag.CONSISTENCY,
})  # fmt: skip


class ReviewState(StrEnum):
    """How a summary stands after its reviews."""

    DRAFT = "draft"
    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"


class ReviewAction(StrEnum):
    """What a person did to a summary's review: the first three sign, the last two take back."""

    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"
    DRAFT = "draft"  # everything that stood was taken back: it is a draft again
    UNDONE = "undone"  # the last act was taken back: what stood before it stands again


class KeyKind(StrEnum):
    """The user of an API key, in whose name it signs."""

    PERSON = "person"  # signs what they saw, in their own name
    PROGRAM = "program"  # may sign for the people it knows, whom it names
    BOTH = "both"  # the one-machine stack's own


NOTICE = "AI-generated draft, not a diagnosis"  # shown with every text the model wrote
