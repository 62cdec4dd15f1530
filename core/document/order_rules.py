"""Which stage may follow which, in one place: the order rules of a chain.

Every stage declares its effect on its input (`Stage.effect`). A rule compares one stage with one
before it, and gives a sentence on what would break and one on what to do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.common.errors import Problem
from core.stages.base import DeploymentStage, Effect, Stage


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A stage of a chain: its id, the name that people see, and the technique."""

    id: str
    title: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class _Rule:
    """`later` must not come after `earlier`; {later} and {earlier} in the texts are the titles."""

    later: tuple[Effect, ...]
    earlier: Effect
    message: str
    advice: str = "Move '{later}' before '{earlier}'."


_RULES = (
    _Rule(
        ("structure",), "ranks",
        "'{later}' cuts channels or layers, but '{earlier}' has split layers into low-rank factors that it cannot follow.",
    ),
    _Rule(
        ("ranks",), "zeros",
        "'{later}' would write the pruned weights anew as factors without zeros.",
    ),
    _Rule(
        ("ranks",), "codebook",
        "'{later}' would write the shared weights anew as factors that share nothing.",
    ),
    _Rule(
        ("zeros",), "codebook",
        "'{later}' would take weights out of the codebooks that '{earlier}' made.",
    ),
)  # fmt: skip


def order_problems(link: ChainLink, chain: Sequence[ChainLink], from_file: bool) -> list[Problem]:
    """Every order rule that `link` breaks.

    Args:
        chain: the stages before it, from the source on.
        from_file: the chain's source gives an ONNX file and no network.
    """
    stage = link.stage
    if isinstance(stage, DeploymentStage):
        return list(_file_problems(link, chain, from_file))
    return list(_network_problems(link, chain, from_file))


def _file_problems(link: ChainLink, chain: Sequence[ChainLink], from_file: bool) -> Iterator[Problem]:
    if not chain and not from_file:
        yield Problem(
            f"'{link.title}' works on an exported file, and no stage before it exports one.",
            "Put a 'Train' stage before it; with 0 epochs it exports the network as it is.",
        )
    for before in chain:
        if before.stage.effect in ("file", "quantized"):
            yield Problem(
                f"'{link.title}' cannot follow '{before.title}', which has quantized or converted the file already.",
                f"Let both continue the same stage: give '{link.title}' the 'from' of '{before.title}'.",
            )


def _network_problems(link: ChainLink, chain: Sequence[ChainLink], from_file: bool) -> Iterator[Problem]:
    if from_file:
        yield Problem(
            f"'{link.title}' changes a PyTorch network, and this chain starts from an ONNX file.",
            "Start from a backbone or a checkpoint, or use stages that work on the exported file.",
        )
    for before in chain:
        if isinstance(before.stage, DeploymentStage):
            yield Problem(
                f"'{link.title}' changes the network, but '{before.title}' has gone on to the exported file.",
                f"Move '{link.title}' before '{before.title}', or replace both by quantization-aware training."
                if link.stage.effect == "weights"
                else f"Move '{link.title}' before '{before.title}'.",
            )
        elif before.stage.effect == "quantized":
            yield Problem(
                f"Nothing but deployment can follow '{before.title}': its weights fit the INT8 grid that they were trained on.",
                f"Move '{link.title}' before '{before.title}'.",
            )
        for rule in _RULES:
            if link.stage.effect in rule.later and before.stage.effect == rule.earlier:
                titles = {"later": link.title, "earlier": before.title}
                yield Problem(rule.message.format(**titles), rule.advice.format(**titles))
