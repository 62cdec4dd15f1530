"""What the forward and backward pass compute in, and the short trial that takes the faster.

On CUDA mixed precision is bfloat16 where the GPU has it (Ampere and later), which needs no gradient scaling, and float16
with scaling on older ones. On processors it is bfloat16, which is
faster on some networks and slower on others (depthwise convolutions), so a trial decides there:
a few training steps of a copy of the network in either, in turn. They are timed by the processor time that they use, on
one thread: by the clock on the wall, and on several threads that wait for each other, what else the machine does would
decide. On several threads the gain may be somewhat smaller.
"""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.control import RunControl
from core.machine.fingerprint import fingerprint
from core.machine.torch_rng import isolated_rng

_ROUNDS = 5
_NOTICEABLE = 1.05  # a ratio below it is none: full precision is kept
_SECONDS = 20.0  # rounds after the second are left out where steps take long


@dataclass(frozen=True, slots=True)
class Precision:
    """What the forward and backward pass compute in; `scaled` means with gradient scaling."""

    name: str
    dtype: torch.dtype | None
    scaled: bool
    sentence: str


def resolve_precision(choice: str, device: str) -> Precision:
    """What "mixed" means on this device; "auto" without a trial is the same."""
    if choice == "float32":
        return Precision("float32", None, False, "Trained in float32.")
    if device.startswith("cuda"):
        if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bfloat16", torch.bfloat16, False, "Trained in bfloat16 (CUDA).")
        return Precision("float16", torch.float16, True, "Trained in float16 with gradient scaling (CUDA).")
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"):
        return Precision(
            "bfloat16", torch.bfloat16, False, "Trained in bfloat16: this processor has instructions for it."
        )
    return Precision(
        "float32",
        None,
        False,
        "Trained in float32: this processor has no bfloat16 instructions, so mixed precision would be slower.",
    )


def autocast(precision: Precision, device_type: str) -> torch.autocast:
    """The context in which a forward pass computes in `precision`."""
    return torch.autocast(device_type, dtype=precision.dtype, enabled=precision.dtype is not None)


def undecided(device: str) -> bool:
    """Whether only a trial can tell which precision is the faster on this device."""
    return not device.startswith("cuda") and resolve_precision("mixed", device).dtype is not None


@dataclass(frozen=True, slots=True)
class PrecisionTrial:
    """What a trial found.

    Attributes:
        reduced: the name of the precision that was tried against float32.
        float32_seconds, reduced_seconds: processor time of one training step, the least of some.
        where: what it was measured on; "" in trials of before, by the clock on the wall.
    """

    reduced: str
    float32_seconds: float
    reduced_seconds: float
    where: str = ""

    @property
    def chosen(self) -> str:
        """The setting that trains in the faster one: "mixed", or "float32", also where they are alike."""
        return "mixed" if self.float32_seconds >= _NOTICEABLE * self.reduced_seconds else "float32"

    @property
    def sentence(self) -> str:
        """The decision for people."""
        plain, reduced = _milliseconds(self.float32_seconds), _milliseconds(self.reduced_seconds)
        where = f", of processor time on {self.where}" if self.where else ""
        steps = f"short trial: {plain} a step in float32, {reduced} in {self.reduced}{where}"
        if self.chosen == "mixed":
            times = self.float32_seconds / self.reduced_seconds
            return f"Trained in {self.reduced}: {times:.1f} times faster than float32 here ({steps})."
        times = self.reduced_seconds / self.float32_seconds
        comparison = f"{times:.1f} times slower" if times >= _NOTICEABLE else "about as fast"
        return f"Trained in float32: {self.reduced} was {comparison} here ({steps})."

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms"


def try_precisions(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    control: RunControl,
) -> PrecisionTrial:
    """Time training steps of a copy of `model` in float32 and in the reduced precision, in turn.

    Neither the weights and batch-norm statistics of `model` nor the random stream change.

    Args:
        images: float32 [b, 3, s, s], a batch as it is trained on, on the model's device.
        labels: int64 [b].

    Raises:
        Stopped: when a person asked to stop.
    """
    device = images.device.type
    where = f"one thread of {fingerprint()['processor']}, PyTorch {torch.__version__}"
    kinds = [resolve_precision(choice, device) for choice in ("float32", "mixed")]
    network = copy.deepcopy(model).train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rule = optimiser(parameters)

    def seconds(precision: Precision) -> float:
        control.checkpoint()
        started = time.process_time()
        rule.zero_grad(set_to_none=True)
        with autocast(precision, device):
            logits = network(images)
        functional.cross_entropy(logits.float(), labels).backward()
        rule.step()
        return time.process_time() - started

    times: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    with isolated_rng(), one_thread():
        for kind in kinds:  # the first step of each prepares its kernels
            seconds(kind)
        started = time.perf_counter()
        for number in range(_ROUNDS):
            for kind in kinds if number % 2 else reversed(kinds):
                times[kind.name].append(seconds(kind))
            if number and time.perf_counter() - started > _SECONDS:
                break
    plain, reduced = kinds
    return PrecisionTrial(reduced.name, min(times[plain.name]), min(times[reduced.name]), where)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
