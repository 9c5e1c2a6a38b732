"""Training runs, chat turns and what is served: leased like everything else, moved by fenced pointers."""

import pytest

from tests.support.ledger_tools import do, expire, job, no_errors, one, put, rows, take, together, whole_study
from xraygpt_core.errors import Conflict, InvalidRequest, LeaseLost, NotFound
from xraygpt_core.ids import new_id
from xraygpt_core.ledger.jobs.claims import fail
from xraygpt_core.ledger.jobs.fence import Claim
from xraygpt_core.ledger.jobs.reconcile import tick
from xraygpt_core.ledger.jobs.replay import replay_dead
from xraygpt_core.ledger.studies import chat
from xraygpt_core.ledger.studies.purge import purge_study
from xraygpt_core.ledger.training.curves import Point, note_progress, points
from xraygpt_core.ledger.training.runs import (
    cancel_run,
    complete_run,
    create_run,
    move_checkpoint,
    promote,
    result_prefixes,
    run,
    run_input,
    runs,
)
from xraygpt_core.ledger.training.serving import roll_back, serve, served_bundle, start_serving
from xraygpt_core.ledger.transaction import Ledger
from xraygpt_core.states import JobKind, JobState, Lane

pytestmark = pytest.mark.usefixtures("sound")


def finished(ledger: Ledger, stage: str = "stage1", parent: object = None, prefix: str = "runs/r") -> object:
    run_id = create_run(ledger, stage, {}, parent)  # type: ignore[arg-type]
    complete_run(ledger, take(ledger, JobKind.TRAIN, run_id), prefix)
    return run_id


def started(ledger: Ledger) -> Claim:
    got = take(ledger, JobKind.TRAIN, create_run(ledger, "stage1", {"steps": 3}, None))
    run_input(ledger, got)
    return got


def test_a_run_tells_its_worker_what_to_do(ledger: Ledger) -> None:
    run_id = create_run(ledger, "stage1", {"steps": 3}, None)
    assert run(ledger, run_id).state == "queued"
    given = run_input(ledger, take(ledger, JobKind.TRAIN, run_id))
    assert (given.run_id, given.stage, given.config) == (run_id, "stage1", {"steps": 3})
    assert (given.base_bundle, given.parent_prefixes, given.checkpoint_prefix) == ("demo", (), None)
    assert run(ledger, run_id).state == "running"


def test_a_chain_of_runs_starts_from_the_first_ones_base_and_all_results_in_order(ledger: Ledger) -> None:
    first = finished(ledger, "medical-llm", prefix="runs/1")
    second = finished(ledger, "stage1", first, "runs/2")
    serve(ledger, "something-else")
    third = create_run(ledger, "stage2", {}, second)  # type: ignore[arg-type]
    given = run_input(ledger, take(ledger, JobKind.TRAIN, third))
    assert given.base_bundle == "demo"
    assert given.parent_prefixes == ("runs/1", "runs/2")
    assert result_prefixes(ledger, second) == ("demo", ("runs/1", "runs/2"))  # type: ignore[arg-type]


def test_a_run_that_cannot_be_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequest):
        create_run(ledger, "stage3", {}, None)
    with pytest.raises(InvalidRequest, match="text alone"):
        create_run(ledger, "medical-llm", {"mixture": {"sets": [{"name": "a", "reader": "table", "path": "a"}]}}, None)
    with pytest.raises(NotFound):
        create_run(ledger, "stage1", {}, new_id())
    with pytest.raises(Conflict):
        create_run(ledger, "stage1", {}, create_run(ledger, "stage1", {}, None))
    for ask in (run, promote, result_prefixes, cancel_run):
        with pytest.raises(NotFound):
            ask(ledger, new_id())  # type: ignore[operator]


def test_every_point_of_the_curve_is_kept_once(ledger: Ledger) -> None:
    got = started(ledger)
    for step in (1, 2, 2):
        note_progress(ledger, got, Point(step, 3, 1.0 / step, 5.0))
    found = run(ledger, got.subject)
    assert (found.step, found.steps, found.loss, found.samples_per_s) == (2, 3, 0.5, 5.0)
    curve = rows(ledger, "SELECT step, loss, lease_epoch FROM training_progress ORDER BY step")
    assert curve == [{"step": 1, "loss": 1.0, "lease_epoch": 1}, {"step": 2, "loss": 0.5, "lease_epoch": 1}]


def test_the_held_out_loss_of_the_base_stays_beside_the_last_one(ledger: Ledger) -> None:
    got = started(ledger)
    note_progress(ledger, got, Point(0, 3, None, None, held_out=3.0, swapped=3.1))
    note_progress(ledger, got, Point(1, 3, 2.5, 4.0))
    note_progress(ledger, got, Point(2, 3, 2.0, 4.0, held_out=1.0, swapped=2.9))
    found = run(ledger, got.subject)
    assert (found.first_held_out, found.held_out, found.swapped, found.loss) == (3.0, 1.0, 2.9, 2.0)
    curve = points(ledger, got.subject)
    assert [(one.step, one.loss, one.held_out) for one in curve] == [(0, None, 3.0), (1, 2.5, None), (2, 2.0, 1.0)]


def test_a_long_curve_is_thinned_out_and_keeps_its_end_and_every_look_at_the_held_out_loss(ledger: Ledger) -> None:
    got = started(ledger)
    do(
        ledger,
        "INSERT INTO training_points (run_id, lease_epoch, step, loss, held_out) "
        "SELECT :run, 1, n, 1.0, CASE WHEN n % 7 = 0 THEN 1.0 END FROM generate_series(1, 101) AS n",
        run=got.subject,
    )
    shown = {one.step for one in points(ledger, got.subject, most=10)}
    assert {101, *range(7, 102, 7)} < shown
    assert len(shown) < 40


def test_the_next_worker_goes_on_from_the_last_checkpoint_with_fresh_attempts(ledger: Ledger) -> None:
    got = started(ledger)
    do(ledger, "UPDATE jobs SET attempts = max_attempts, lease_epoch = 9 WHERE id = :id", id=got.job_id)
    last = Claim(got.job_id, got.kind, got.subject, 9, 5, got.lane)
    move_checkpoint(ledger, last, "runs/x/9/step-2", 2)
    assert job(ledger, got.job_id)["attempts"] == 1
    assert fail(ledger, last, "the device fell off the bus") is JobState.QUEUED
    given = run_input(ledger, take(ledger, JobKind.TRAIN, got.subject))
    assert given.checkpoint_prefix == "runs/x/9/step-2"


def test_a_zombie_moves_no_checkpoint_notes_nothing_and_completes_nothing(ledger: Ledger) -> None:
    zombie = started(ledger)
    expire(ledger, zombie.job_id)
    tick(ledger)
    owner = take(ledger, JobKind.TRAIN, zombie.subject, "owner")
    move_checkpoint(ledger, owner, "runs/x/2/step-1", 1)
    for attempt in (
        lambda: move_checkpoint(ledger, zombie, "runs/x/1/step-9", 9),
        lambda: note_progress(ledger, zombie, Point(9, 9, 0.0, 1.0)),
        lambda: complete_run(ledger, zombie, "runs/x/1"),
        lambda: run_input(ledger, zombie),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    found = rows(ledger, "SELECT checkpoint_prefix, checkpoint_step, step, result_prefix FROM training_runs")
    assert found == [{"checkpoint_prefix": "runs/x/2/step-1", "checkpoint_step": 1, "step": 0, "result_prefix": None}]


def test_a_cancelled_run_is_over_for_its_worker_too(ledger: Ledger) -> None:
    got = started(ledger)
    cancel_run(ledger, got.subject)
    assert run(ledger, got.subject).state == "cancelled"
    with pytest.raises(LeaseLost):
        complete_run(ledger, got, "runs/x")
    with pytest.raises(Conflict):
        cancel_run(ledger, got.subject)


def test_a_dead_run_goes_on_after_a_replay(ledger: Ledger) -> None:
    got = started(ledger)
    fail(ledger, got, "no", retry=False)
    assert run(ledger, got.subject).state == "dead"
    assert replay_dead(ledger) == 1
    assert run(ledger, got.subject).state == "queued"
    complete_run(ledger, take(ledger, JobKind.TRAIN, got.subject), "runs/x")
    assert run(ledger, got.subject).state == "done"


def test_a_finished_run_is_served_and_rolled_back(ledger: Ledger) -> None:
    first, second = finished(ledger), finished(ledger)
    with pytest.raises(Conflict):
        roll_back(ledger)
    name = promote(ledger, first)  # type: ignore[arg-type]
    assert (served_bundle(ledger).name, served_bundle(ledger).run_id) == (name, first)
    assert promote(ledger, first) == name  # type: ignore[arg-type]
    other = promote(ledger, second)  # type: ignore[arg-type]
    assert served_bundle(ledger).name == other
    assert roll_back(ledger).name == name
    assert (served_bundle(ledger).name, served_bundle(ledger).run_id) == (name, first)
    assert roll_back(ledger).name == other
    assert run(ledger, first).bundle == name  # type: ignore[arg-type]


def test_an_unfinished_run_is_not_served(ledger: Ledger) -> None:
    run_id = create_run(ledger, "stage1", {}, None)
    with pytest.raises(Conflict):
        promote(ledger, run_id)
    assert served_bundle(ledger).name == "demo"


def test_the_setting_counts_until_something_was_chosen(ledger: Ledger) -> None:
    start_serving(ledger, "from-setting")
    assert served_bundle(ledger).name == "from-setting"
    serve(ledger, "chosen")
    start_serving(ledger, "from-setting")
    assert served_bundle(ledger).name == "chosen"


def test_a_bundle_served_by_name_is_known_to_come_from_its_run(ledger: Ledger) -> None:
    run_id = finished(ledger)
    name = promote(ledger, run_id)  # type: ignore[arg-type]
    serve(ledger, "imported")
    assert served_bundle(ledger).run_id is None
    assert serve(ledger, name).run_id == run_id


def test_runs_are_shown_newest_first(ledger: Ledger) -> None:
    given = [create_run(ledger, "stage1", {}, None) for _ in range(3)]
    assert [one.run_id for one in runs(ledger)] == given[::-1]


def test_a_question_is_answered_with_what_was_said_before(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    first = chat.ask(ledger, study_id, "  Is the heart large?  ")
    got = take(ledger, JobKind.CHAT, first.turn_id)
    assert got.lane is Lane.STAT
    chat.complete_turn(ledger, got, "No.", "demo", "f" * 64, {"seed": 1})
    second = chat.ask(ledger, study_id, "And the lungs?")
    given = chat.chat_input(ledger, take(ledger, JobKind.CHAT, second.turn_id))
    assert given.turns == (("Is the heart large?", "No."),)
    assert (given.question, given.summary_id) == ("And the lungs?", first.summary_id)
    said = chat.transcript(ledger, study_id)
    assert [(turn.state, turn.answer) for turn in said] == [("done", "No."), ("queued", "")]
    assert said[0].answered_at is not None


def test_an_answer_is_shown_while_it_is_written_and_starts_anew_with_the_next_worker(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    turn = chat.ask(ledger, study_id, "Is the heart large?")
    got = take(ledger, JobKind.CHAT, turn.turn_id)
    chat.stream_answer(ledger, got, "The hea")
    assert (chat.turn(ledger, turn.turn_id).answer, chat.turn(ledger, turn.turn_id).state) == ("The hea", "running")
    expire(ledger, got.job_id)
    with pytest.raises(LeaseLost):
        chat.stream_answer(ledger, got, "The heart")
    with pytest.raises(LeaseLost):
        chat.complete_turn(ledger, got, "The heart.", "demo", "f" * 64, {})
    chat.complete_turn(ledger, take(ledger, JobKind.CHAT, turn.turn_id, "next"), "No.", "demo", "f" * 64, {})
    assert chat.turn(ledger, turn.turn_id).answer == "No."
    assert one(ledger, "SELECT lease_epoch FROM chat_turns") == 2


def test_two_questions_at_the_same_moment_have_two_places(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    no_errors(together(*[lambda: chat.ask(ledger, study_id, "Well?")] * 4))
    assert [row["position"] for row in rows(ledger, "SELECT position FROM chat_transcripts ORDER BY 1")] == [1, 2, 3, 4]


@pytest.mark.parametrize("question", ["", "   ", "a\0b", "x" * (chat.MAX_QUESTION + 1)])
def test_a_question_that_cannot_be_is_refused(ledger: Ledger, question: str) -> None:
    with pytest.raises(InvalidRequest):
        chat.ask(ledger, new_id(), question)


def test_nobody_asks_about_a_study_without_a_summary(ledger: Ledger) -> None:
    with pytest.raises(Conflict):
        chat.ask(ledger, put(ledger).study_id, "Well?")
    for ask in (lambda: chat.ask(ledger, new_id(), "Well?"), lambda: chat.turn(ledger, new_id())):
        with pytest.raises(NotFound):
            ask()


def test_a_turn_purged_before_it_was_answered_is_answered_by_nobody(ledger: Ledger) -> None:
    _, study_id = whole_study(ledger)
    turn = chat.ask(ledger, study_id, "Well?")
    got = take(ledger, JobKind.CHAT, turn.turn_id)
    purge_study(ledger, study_id, lambda _: None)
    with pytest.raises(LeaseLost):
        chat.chat_input(ledger, got)
    with pytest.raises(NotFound):
        chat.turn(ledger, turn.turn_id)


def test_a_tuned_encoder_is_served_once_a_projector_was_trained_for_it(ledger: Ledger) -> None:
    before = finished(ledger, "stage1")
    tuned = finished(ledger, "encoder", before, "runs/tuned")
    reading = finished(ledger, "medical-llm", tuned, "runs/llm")
    for run_id in (tuned, reading):
        with pytest.raises(Conflict, match="start stage1"):
            promote(ledger, run_id)  # type: ignore[arg-type]
    assert promote(ledger, finished(ledger, "stage1", reading, "runs/whole")).startswith("stage1-")  # type: ignore[arg-type]
