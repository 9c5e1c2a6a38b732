"""A small program that keeps the file contract of ``training_jobs``: what to do is in its config.

``steps`` and ``checkpoint_every`` as there; ``stop_at``: wait at this step for a signal; ``fail_after_checkpoint``: end
with code 3 after each; ``exit``: end with this code at the end; ``no_result``: leave none; ``say``: write this to
stderr; ``show``: leave a report and TensorBoard files; ``held_out``: look at the held-out loss
at the start and the end. With ``--corpus`` its weights are a hash of all that is in the corpus. As ``encode`` it is the
real encoder; as ``encoder`` it leaves one that is a little different.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
from pathlib import Path


def appear(path: Path, files: dict[str, str]) -> None:
    part = path.with_name(f".{path.name}.tmp")  # as training_jobs does: nobody takes it for a whole one
    part.mkdir(parents=True)
    for name, text in files.items():
        (part / name).write_text(text)
    part.rename(path)


def learned(corpus: Path | None) -> str:
    """A hash of a corpus; nothing where there is none."""
    if corpus is None:
        return ""
    digest = hashlib.sha256()
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(corpus).as_posix().encode() + path.read_bytes())
    return f" on {digest.hexdigest()}"


def encode(given: argparse.Namespace) -> int:
    """As ``python -m training_jobs encode``."""
    from xraygpt_core.model.bundle import read_bundle
    from xraygpt_core.model.encoders.tuning import lower_half
    from xraygpt_core.model.frozen_encoder import FrozenEncoder
    from xraygpt_core.training.pairs import read_pairs

    base = read_bundle(given.base)
    films = [(given.images / f"{pair.image}.png").read_bytes() for pair in read_pairs(given.pairs)]
    FrozenEncoder(base if given.below is None else lower_half(base, given.below), "cpu").write(given.out, films)
    return 0


def tune(base: Path, file: Path) -> None:
    """As ``python -m training_jobs encoder``, without learning anything."""
    from safetensors.torch import load_file

    from xraygpt_core.model.bundle import read_bundle
    from xraygpt_core.model.encoders.delta import save_delta

    bundle = read_bundle(base)
    state = load_file(bundle.encoder_weights)
    tuned = state | {"_conv_head.weight": state["_conv_head.weight"] + 0.01}
    save_delta(file, state, tuned, kind=bundle.encoder, options=bundle.encoder_options)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("stage")
    for name in ("--base", "--out", "--config", "--resume", "--corpus", "--pairs", "--images"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--below", type=int)
    given = parser.parse_args()
    if given.stage == "encode":
        return encode(given)
    config = json.loads(given.config.read_text())
    config.setdefault("show", config.get("examples") == 99)  # where only known settings are let through
    step = int((given.resume / "step").read_text()) if given.resume else 0
    out = given.out
    steps, every = config["steps"], config.get("checkpoint_every", 2)

    def checkpoint() -> None:
        appear(out / "checkpoints" / f"step-{step:06}", {"step": str(step), "pid": str(os.getpid())})

    def asked_to_stop(*_: object) -> None:
        checkpoint()
        sys.exit(75)

    signal.signal(signal.SIGTERM, asked_to_stop)
    if config.get("show"):
        (out / "tensorboard").mkdir(exist_ok=True)
        (out / "tensorboard" / "events.out.tfevents.1").write_text("events")
    with (out / "progress.jsonl").open("a") as progress:
        if config.get("held_out") and step == 0:
            progress.write(json.dumps({"step": 0, "steps": steps, "held_out": 3.0, "swapped": 3.5}) + "\n")
            progress.write('no point\n{"step": 0, "loss": NaN}\n')
        while step < steps:
            step += 1
            line = {"step": step, "steps": steps, "loss": 1.0 / step, "samples_per_s": 10.0}
            progress.write(json.dumps(line) + "\n")
            progress.flush()
            if config.get("stop_at") == step and not given.resume:
                signal.pause()
            if step % every == 0:
                checkpoint()
                if config.get("fail_after_checkpoint"):
                    return 3
        if config.get("held_out"):
            progress.write(json.dumps({"step": step, "held_out": 1.0, "swapped": 3.25}) + "\n")
    if config.get("say"):
        print(config["say"], file=sys.stderr)  # noqa: T201
    if not (config.get("no_result") or config.get("exit")):
        report = {"report.html": "<h1>films</h1>"} if config.get("show") else {}
        weights = {"projector.safetensors": f"projector after {step}{learned(given.corpus)}"}
        appear(out / "result", ({} if given.stage == "encoder" else weights) | {"result.json": "{}"} | report)
        if given.stage == "encoder":
            tune(given.base, out / "result" / "encoder.safetensors")
    return int(config.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
