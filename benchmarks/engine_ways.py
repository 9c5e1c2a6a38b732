"""The ways to generate, one per process: ``python -m benchmarks.engine_ways WAY`` prints one JSON document."""

import argparse
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.engine_work import IMAGE, LONGEST, SHAPES, EngineResult, Job, arrivals, embedded, jobs, model, useful
from benchmarks.figures import peak_mib
from xraygpt_core import metrics
from xraygpt_core.model.backend import Generated, GenerationRequest
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.engine import IMAGES, LOOKAHEAD, PROMPT_TOKENS, own, use_device
from xraygpt_core.model.engine.loop import Loop
from xraygpt_core.model.engine.rows import EngineRequest
from xraygpt_core.model.engine.runner import Runner, Setting
from xraygpt_core.model.engine.scheduler import Ticket
from xraygpt_core.model.llm import pick_device
from xraygpt_core.model.prompt import Prompt

_BLOCK = 32  # tokens in a page of transformers' paged cache


def now() -> tuple[float, float]:
    """Wall and processor time."""
    return time.perf_counter(), time.process_time()


def one_by_one(asked: argparse.Namespace, work: Sequence[Job]) -> EngineResult:
    """XrayGPT's way: one ``generate`` per image."""
    return static(argparse.Namespace(**vars(asked) | {"rows": 1}), work)


@torch.inference_mode()
def static(asked: argparse.Namespace, work: Sequence[Job]) -> EngineResult:
    """transformers' ``generate`` in static batches: all rows run until the longest is done."""
    llm = model(asked.shape, asked.dtype, asked.device)
    if asked.device == "cpu":
        _store_by_column(llm)
    _generate(llm, work[: asked.rows], 2)
    began, latencies = now(), []
    for start in range(0, len(work), asked.rows):
        some = work[start : start + asked.rows]
        _generate(llm, some, max(job.tokens for job in some))
        latencies += [time.perf_counter() - began[0]] * len(some)
    return _result(work, began, latencies)


def _store_by_column(llm: Any) -> None:
    """Each matrix as transformers' product reads it best: two to four times faster for a small batch (MKL)."""
    head = llm.get_output_embeddings()
    if head.weight is llm.get_input_embeddings().weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
    for module in llm.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = module.weight.data.t().contiguous().t()


def _generate(llm: Any, some: Sequence[Job], tokens: int) -> None:
    prompts = [embedded(llm, job) for job in some]
    longest = max(map(len, prompts))
    rows = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[-1])
    mask = torch.zeros(rows.shape[:2], dtype=torch.long, device=rows.device)
    for index, prompt in enumerate(prompts):
        rows[index, longest - len(prompt) :], mask[index, longest - len(prompt) :] = prompt, 1
    llm.generate(inputs_embeds=rows, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    if rows.device.type == "cuda":
        torch.cuda.synchronize()


def continuous(asked: argparse.Namespace, work: Sequence[Job]) -> EngineResult:
    """transformers' continuous batching, which takes token ids only: the image vectors are ids here."""
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    llm = model(asked.shape, asked.dtype, asked.device)
    settings = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=150)
    tokens = max(len(job.before) + len(job.image) + len(job.after) + job.tokens for job in work)
    blocks = asked.rows * -(-tokens // _BLOCK)  # room for as many rows; left to itself it takes the whole memory
    room = ContinuousBatchingConfig(
        page_size=_BLOCK, num_blocks=blocks, max_batch_tokens=512, max_requests_per_batch=asked.rows
    )
    manager = llm.init_continuous_batching(generation_config=settings, continuous_batching_config=room)
    manager.start()
    try:
        _drain(manager, work[:2], 2)
        began = now()
        latencies = _drain(manager, work, None, began[0])
        return _result(work, began, latencies)
    finally:
        manager.stop(block=True)


def _drain(manager: Any, some: Sequence[Job], tokens: int | None, began: float = 0.0) -> list[float]:
    latencies: list[float] = []
    for job in some:
        ids = [*job.before, *range(200, 200 + len(job.image)), *job.after]
        manager.add_request(ids, max_new_tokens=tokens or job.tokens)
    while len(latencies) < len(some):
        if (result := manager.get_result(timeout=1.0)) is not None and result.is_finished():
            latencies.append(time.perf_counter() - began)
        elif (broken := manager.background_thread_status.fatal_error) is not None:
            raise RuntimeError(f"its thread ended: {broken!r}")
    return latencies


class Vectors:
    """Stands where encoder and projector stand: the benchmark's images are their output already."""

    def features(self, images: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return images

    def image_tokens(self, images: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        return images


class Endless:
    """No text ends before it is as long as asked."""

    def reached(self, _ids: Sequence[int]) -> bool:
        return False

    def text(self, _ids: Sequence[int]) -> str:
        return ""


def _answer(done: EngineRequest, batch_size: int) -> Generated:
    ids = " ".join(map(str, done.run.ids))
    return Generated(ids, None, None, "", "", {}, None, len(done.run.ids), batch_size, 0.0, 0.0, {})


def open_loop(asked: argparse.Namespace, work: Sequence[Job]) -> tuple[Loop, Runner]:
    """The engine's own loop over a model of random weights; its answers are token ids in decimal."""
    lengths = {len(job.before) + len(job.image) + len(job.after) + LONGEST for job in work}
    *fewer, most = sorted(lengths)
    where = pick_device(asked.device).type
    made: list[Runner] = []

    def take() -> Loop:
        use_device(asked.device)
        llm = model(asked.shape, asked.dtype, asked.device)
        context, ahead = llm.config.max_position_embeddings, LOOKAHEAD[where]
        setting = Setting(
            work[0].before, most, context, Decoding(), weights=asked.weights, ahead=ahead, fewer=tuple(fewer)
        )
        made.append(Runner(llm, Vectors(), setting, asked.rows, graphs=asked.graphs))
        tokens = asked.prompt_tokens or PROMPT_TOKENS[where]
        return Loop(made[0], Endless(), _answer, prompt_tokens=tokens, lookahead=ahead, images=IMAGES[where])

    return own(take), made[0]


def ours(asked: argparse.Namespace, work: Sequence[Job]) -> EngineResult:
    """The engine's own loop and step."""
    loop, runner = open_loop(asked, work)
    # graphs are captured where a length is first met: at whole answers
    serve(loop, runner, work[: asked.rows], [0.0] * asked.rows, None if asked.graphs else 2)
    counters = (metrics.ENGINE_IDEAL_SECONDS, metrics.ENGINE_BUSY_SECONDS)
    before = [counter._value.get() for counter in counters]
    times = arrivals(len(work), asked.per_second) if asked.per_second else [0.0] * len(work)
    began = now()
    latencies, _ = serve(loop, runner, work, times, None)
    result = _result(work, began, latencies)
    loop.close()
    result.ideal_seconds, busy = (counter._value.get() - b for counter, b in zip(counters, before, strict=True))
    result.seconds = result.seconds if asked.per_second else max(result.seconds, busy)
    return result


def serve(
    loop: Loop, runner: Runner, work: Sequence[Job], times: Sequence[float], tokens: int | None
) -> tuple[list[float], list[str]]:
    """Hand in each study when it arrives; seconds from there to its answer, and the answers."""
    # there before the clock starts: a copy would wait for the step the device is at
    images = [job.image.to(runner.llama.embedding) for job in work]
    began, pause, latencies = time.perf_counter(), threading.Event(), [0.0] * len(work)
    futures: list[Future[Generated]] = []
    for index, (job, due) in enumerate(zip(work, times, strict=True)):
        if (early := began + due - time.perf_counter()) > 0:
            pause.wait(early)
        future: Future[Generated] = Future()
        arrived = time.perf_counter()

        def note(_done: "Future[Generated]", index: int = index, arrived: float = arrived) -> None:
            latencies[index] = time.perf_counter() - arrived

        future.add_done_callback(note)
        futures.append(future)
        loop.add(_ticket(job, images[index], future, tokens or job.tokens))
    return latencies, [future.result().text for future in futures]


def _ticket(job: Job, image: torch.Tensor, future: "Future[Generated]", longest: int) -> Ticket[EngineRequest]:
    cached = len(job.before) + len(job.image) + len(job.after)
    accepted = EngineRequest(
        request=GenerationRequest(b""),
        prompt=Prompt(()),
        future=future,
        image=image,
        after=job.after,
        cached=cached,
        longest=longest,
    )
    return Ticket(accepted, 1, len(job.image) + len(job.after), cached + longest)


def _result(work: Sequence[Job], began: tuple[float, float], latencies: list[float]) -> EngineResult:
    wall, cores = (end - start for end, start in zip(now(), began, strict=True))
    return EngineResult(len(work), useful(work), wall, cores, peak_mib(), None, latencies)


WAYS = {"one_by_one": one_by_one, "static": static, "continuous": continuous, "engine": ours}


def parser() -> argparse.ArgumentParser:
    """What a way can be asked for."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("way", choices=sorted(WAYS))
    made.add_argument("--shape", default="smollm2-135m", choices=sorted(SHAPES))
    made.add_argument("--device", default="cpu")
    made.add_argument("--dtype", default="float32", type=lambda name: getattr(torch, name))
    made.add_argument("--rows", type=int, default=16)
    made.add_argument("--studies", type=int, default=48)
    made.add_argument("--per-second", type=float, default=0.0, help="Poisson arrivals; 0: all at once")
    made.add_argument("--weights", choices=["int8", "fp8"], help="of the engine; else as --dtype")
    made.add_argument("--prompt-tokens", type=int, help="most that are read at once; default: the engine's own")
    made.add_argument("--graphs", action="store_true", help="CUDA graphs")
    made.add_argument("--image-tokens", type=int, default=IMAGE, help="vectors of an image; 1369 as LLaVA's family has")
    made.add_argument("--most-images", type=int, default=1, help="a study has one to so many")
    return made


def asked_for(asked: argparse.Namespace) -> list[Job]:
    """The studies of a command line."""
    return jobs(asked.studies, SHAPES[asked.shape]["hidden_size"], asked.image_tokens, asked.most_images)


def main() -> int:
    """Run one way."""
    asked = parser().parse_args()
    work = asked_for(asked)
    print(json.dumps(asdict(WAYS[asked.way](asked, work))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
