"""The loop of every gradient job: sums over micro-batches and processes, clipping, checkpoints, SIGTERM, resume."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training_jobs.learning.checkpoint import RunState, latest_checkpoint, load_checkpoint, save_checkpoint
from training_jobs.learning.distributed import ALONE, World
from training_jobs.learning.loss import Loss
from training_jobs.learning.optimiser import make_optimizer, trainable
from training_jobs.learning.outcomes import MACHINE_FAILED, STOPPED, MachineFailed, Stopped, machine_failures
from training_jobs.learning.plan import TrainingPlan, plan_of
from training_jobs.learning.progress import Observer, StopRequest, TrainingProgress
from training_jobs.learning.schedule import learning_rate
from training_jobs.learning.settings import settings_of
from xraygpt_core.errors import TrainingError

__all__ = [
    "ALONE", "MACHINE_FAILED", "STOPPED", "Loss", "MachineFailed", "Observer", "Stopped", "TrainingPlan", "World",
    "plan_of", "settings_of", "train",
]  # fmt: skip

_HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_LEAST_SCALE = 2.0**-10  # a gradient that float16 cannot hold at this scale is no matter of scale
_MOST_SKIPPED = 0.01  # share of a run's samples
_FEW = 1000  # samples after which the share is looked at
_NAMED = 20  # pairs in a message


def train(
    plan: TrainingPlan,
    module: nn.Module,
    losses_of: Callable[[int], Iterable[Loss]],
    world: World = ALONE,
    observer: Observer | None = None,
) -> float:
    """Run the steps. Every process of ``world`` calls this with the same plan.

    ``losses_of(step)`` yields the micro-batches of this process, drawn from the step alone, so that a resumed run sees
    the same; each is backpropagated before the next is asked for. A step's gradient is the sum over all processes and
    micro-batches divided by the number of labelled tokens: neither their number nor their sizes change the loss curve.

    Returns the last loss.

    Raises:
        Stopped: after SIGTERM to any process; the checkpoint is written.
        MachineFailed: the disk is full, memory or device are gone, or another process died.
        TrainingError: a misfit checkpoint; a loss or gradient that is no number; too many samples that cannot be used.
    """
    with machine_failures(), StopRequest() as stop:
        run = _Run(plan, module, losses_of, world, stop)
        with TrainingProgress(plan.out) if world.leads else nullcontext() as progress:
            while run.state.step < plan.steps:
                values = run.step()
                if progress is not None:
                    progress.note(run.state.step, plan.steps, values)
                if observer is not None and world.leads:
                    observer.note(run.state.step, values)
                run.save_if_due()
        return run.state.loss


@dataclass
class _Sums:
    """Of one step: this process's first, then everyone's."""

    total: Tensor
    count: float = 0.0
    samples: float = 0.0
    skipped: float = 0.0
    stop: float = 0.0

    def over(self, world: World) -> "_Sums":
        rest = torch.tensor([self.count, self.samples, self.skipped, self.stop], dtype=torch.float64)
        together = world.sum(torch.cat([self.total.reshape(1), rest.to(self.total.device)]))
        return _Sums(together[0], *together[1:].tolist())


class _Run:
    def __init__(
        self,
        plan: TrainingPlan,
        module: nn.Module,
        losses_of: Callable[[int], Iterable[Loss]],
        world: World,
        stop: StopRequest,
    ) -> None:
        self.plan, self.losses_of, self.world, self.stop = plan, losses_of, world, stop
        self.parameters = list(trainable(module).values())
        if not self.parameters:
            raise TrainingError("nothing in this model is to be trained")
        self.device = self.parameters[0].device
        optimizer = make_optimizer(module, lr=plan.lr, weight_decay=plan.weight_decay, beta2=plan.beta2)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=plan.precision == "float16")
        self.state = RunState(module, optimizer, plan.job, self.scaler, plan.settings, plan.data)
        self.stopping = False
        world.begin(module)
        if plan.resume is not None:
            load_checkpoint(plan.resume, self.state, world)

    def step(self) -> dict[str, float]:
        """One optimizer step; what it was like."""
        began, optimizer = time.monotonic(), self.state.optimizer
        rate = learning_rate(self.state.step, self.plan)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        own, micro_batches = self._backward()
        everyone = own.over(self.world)
        self._look_at(everyone, micro_batches)
        self.world.sum_gradients(self.parameters)
        norm = self._update(everyone.count, micro_batches)
        self._count(everyone)
        seconds = time.monotonic() - began
        return {
            "loss": self.state.loss,
            "lr": rate,
            "grad_norm": norm,
            "samples_per_s": (everyone.samples or self.plan.batch) / seconds,
            "tokens": everyone.count,
            "skipped": self.state.skipped,
        }

    def _backward(self) -> tuple[_Sums, list[Loss]]:
        """Gradients of this process's micro-batches, summed; and the micro-batches without their graphs."""
        sums = _Sums(torch.zeros((), dtype=torch.float64, device=self.device))
        done = []
        for loss in self._micro_batches():
            if loss.count:
                self.scaler.scale(loss.total).backward()  # type: ignore[no-untyped-call]  # untyped in torch
            total = loss.total.detach()
            sums.total += total.double()
            sums.count += loss.count
            sums.samples += len(loss.samples) + len(loss.skipped)
            sums.skipped += len(loss.skipped)
            done.append(Loss(total, loss.count, loss.samples, loss.skipped))
        sums.stop = float(self.stop.asked)
        return sums, done

    def _micro_batches(self) -> Iterator[Loss]:
        """Forward passes in the plan's precision; what the consumer does between two of them is not."""
        losses, half = iter(self.losses_of(self.state.step)), _HALF.get(self.plan.precision)
        while True:
            with torch.autocast(self.device.type, half) if half is not None else nullcontext():
                loss = next(losses, None)
            if loss is None:
                return
            yield loss

    def _look_at(self, sums: _Sums, micro_batches: list[Loss]) -> None:
        if sums.count <= 0:
            raise TrainingError(
                f"step {self.state.step + 1} has no token to learn from: none of its samples has a text"
            )
        if not math.isfinite(float(sums.total)):
            bad = [loss for loss in micro_batches if not math.isfinite(float(loss.total))]
            raise self._no_number("loss", bad)

    def _update(self, count: float, micro_batches: list[Loss]) -> float:
        """The mean gradient, clipped, and one step along it; its norm before it was clipped."""
        self.scaler.unscale_(self.state.optimizer)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        torch._foreach_div_(gradients, count)
        norm = self.world.norm(self.parameters)
        size = float(norm)
        if not math.isfinite(size):
            if not self.scaler.is_enabled() or self.scaler.get_scale() < _LEAST_SCALE:
                raise self._no_number("gradient", micro_batches)
        elif self.plan.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.plan.clip, norm)
        self.scaler.step(self.state.optimizer)
        self.scaler.update()
        return size

    def _no_number(self, what: str, micro_batches: list[Loss]) -> TrainingError:
        own = [sample for loss in micro_batches for sample in loss.samples]
        samples = [sample for part in self.world.gather(own) for sample in part]
        last = latest_checkpoint(self.plan.out)
        kept = "there is no checkpoint yet" if last is None else f"the last checkpoint is {last.name}"
        return TrainingError(
            f"the {what} of step {self.state.step + 1} is not a finite number; no step was taken, {kept}. "
            f"Its samples: {', '.join(samples[:_NAMED]) or 'unknown'}{' …' if len(samples) > _NAMED else ''}. "
            "Look at these samples; or take a lower lr, a longer warmup, a smaller clip, or float32"
        )

    def _count(self, sums: _Sums) -> None:
        self.state.step += 1
        self.state.samples += int(sums.samples)
        self.state.skipped += int(sums.skipped)
        self.state.loss = float(sums.total) / sums.count
        self.stopping = sums.stop > 0
        seen = max(self.state.samples, min(_FEW, self.plan.steps * self.plan.batch))
        if self.state.skipped > _MOST_SKIPPED * seen:
            raise TrainingError(
                f"{self.state.skipped} of {self.state.samples} samples could not be trained on (too long, or without "
                "a text): look at the data; a smaller text.max_tokens may help"
            )

    def save_if_due(self) -> None:
        """A checkpoint at each interval, and when the run is asked to stop."""
        done = self.state.step
        if done == self.plan.steps:
            return  # the result is about to be written
        if done % self.plan.checkpoint_every == 0 or self.stopping:
            save_checkpoint(self.plan.out, self.state, self.world)
        if self.stopping:
            raise Stopped
