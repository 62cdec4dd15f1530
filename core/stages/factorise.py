"""Low-rank factorisation: a layer becomes a short chain of smaller ones, then fine-tuning.

Linear layers and 1×1 convolutions are split in two by their singular value decomposition. Larger
convolutions become either three layers (Tucker-2: Kim et al. 2016, arXiv 1511.06530) or a k×1
and a 1×k convolution (Jaderberg, Vedaldi, Zisserman 2014, arXiv 1405.3866). The maths is in
`core.surgery.low_rank`.

Where we depart: Kim et al. choose ranks by variational Bayes, we by the share of the squared
singular values that is kept: given, or one share for all layers that meets a budget of parameters.
Ranks are rounded up to multiples (8 by default), because kernels are built for them. A layer
stays as it is unless its factors have fewer parameters *and* fewer MACs.

What it does badly: a chain has fewer MACs and more operations, each of which reads and writes memory, so that time falls less than MACs do.
Grouped and depthwise convolutions are left as they are, so MobileNets gain little. Nothing corrects what is lost but fine-tuning.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.common.numbers import percent
from core.common.params import Params, param
from core.models.forecast import Forecast, StageForecast
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import CoverageCase
from core.stages.fine_tune import run_training
from core.stages.forecast import ForecastContext, unknown
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn

    from core.surgery.low_rank import Factorisation, Places, Ranks

_HALVINGS = 40  # of the share of squares in the search for a budget


class FactoriseParams(Params):
    convolutions: Literal["tucker", "spatial"] = param(
        "tucker",
        "Large convolutions",
        "What a convolution larger than 1×1 becomes.",
        choices={
            "tucker": "1×1, then k×k between fewer channels, then 1×1 (Tucker-2).",
            "spatial": "k×1, then 1×k.",
        },
    )
    choose: Literal["budget", "energy"] = param(
        "budget",
        "Choose ranks by",
        "What decides how small the factors are.",
        choices={
            "budget": "A number of parameters for all layers together; each loses what it misses least.",
            "energy": "The share of its squared singular values that every layer keeps.",
        },
    )
    budget: float = param(
        0.5,
        "Parameters kept",
        "With 'budget': share of the parameters of the layers in question that is left.",
        gt=0,
        lt=1,
        step=0.05,
        when="choose=budget",
    )
    energy: float = param(
        0.9,
        "Energy kept",
        "With 'energy': share of the squared singular values kept in every layer; with Tucker-2 in each of both directions.",
        gt=0,
        le=1,
        step=0.01,
        when="choose=energy",
    )
    round_to: int = param(
        8,
        "Round to",
        "Ranks are rounded up to a multiple of this; 1 switches rounding off.",
        unit="channels",
        ge=1,
        le=64,
        step=1,
    )
    first_layer: bool = param(
        False,
        "First layer too",
        "Also factorise the layer that sees the image; it has few weights, and all others depend on it.",
    )
    classifier: bool = param(
        False, "Classifier too", "Also factorise the layers behind the pooled features that give the answer."
    )
    protected: str = param(
        "",
        "Protected layers",
        "Names of layers that stay whole, between commas; * stands for any text, as in 'fem, body.layer1.*'.",
        advanced=True,
    )
    training: TrainingSettings = param(
        TrainingSettings(), "Fine-tuning", "How the factorised network is trained afterwards."
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layer that could be factorised.

    Attributes:
        params, macs: of the layer as it is, for one image.
    """

    path: str
    method: str
    factorisation: "Factorisation"
    places: "Places"
    params: int
    macs: int

    def ranks(self, energy: float, multiple: int) -> "Ranks":
        """The ranks that keep `energy`."""
        from core.surgery.low_rank import rank_for

        return tuple(rank_for(kept, energy, multiple) for kept in self.factorisation.energy)

    def costs(self, energy: float, multiple: int) -> tuple[int, int] | None:
        """Parameters and MACs of the factors; None where either is no smaller than the layer's."""
        params, macs = self.factorisation.costs(self.ranks(energy, multiple), self.places)
        return (params, macs) if params < self.params and macs < self.macs else None


class Factorise(ModelStage[FactoriseParams]):
    id = "factorise"
    title = "Factorise layers"
    group = "Low rank and sharing"
    icon = "factor"
    effect = "ranks"
    help = "Writes a layer's weights as a product of smaller ones, so that there are fewer of them and fewer operations."
    Settings = FactoriseParams

    def epochs(self, settings: FactoriseParams) -> float:
        return settings.training.epochs

    def forecast(
        self,
        settings: FactoriseParams,
        unchanged: Forecast,
        previous: StageForecast,
        context: ForecastContext,
    ) -> StageForecast:
        if settings.choose == "budget":
            return unknown(
                unchanged,
                f"About {percent(settings.budget)} of the parameters of the layers in question stay; "
                "their ranks follow from the trained weights.",
            )
        return unknown(unchanged, "The ranks follow from the trained weights: known after the run.")

    def coverage(self) -> tuple[CoverageCase, ...]:
        spatial = {"budget": 0.5, "convolutions": "spatial"}
        return (
            CoverageCase("low-rank", "Low rank, Tucker-2", {"budget": 0.5}, "params"),
            CoverageCase("low-rank-spatial", "Low rank, spatial", spatial, "params"),
        )

    def run(self, model: "nn.Module", settings: FactoriseParams, context: StageContext) -> StageResult:
        context.phase("factorise", "Factorising layers")
        rows, skipped, notes = factorise_network(model, context.preprocess.size, settings, context)
        result = StageResult(model, notes, skipped, {"layers": rows})
        if not rows:
            context.say("No layer became smaller; the network is what it was.", "warning")
        result.add_training(run_training(model, settings.training, context, phase="fine-tune"))
        return result


def factorise_network(
    model: "nn.Module", size: int, settings: FactoriseParams, context: StageContext
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], list[str]]:
    """Replace layers of `model` by their factors, in place and on the CPU.

    Args:
        size: side of the input images in pixels.

    Returns:
        Layers replaced: `path`, `method`, `ranks` and `full` ones, `params` and `macs` [before,
        after], `energy` kept; layers left alone with the reason; notes.
    """
    candidates, skipped = _candidates(model.cpu(), size, settings, context)
    energy = settings.energy if settings.choose == "energy" else _energy_for_budget(candidates, settings)
    rows = []
    for candidate in candidates:
        ranks, costs = candidate.ranks(energy, settings.round_to), candidate.costs(energy, settings.round_to)
        if costs is None:
            skipped.append((candidate.path, _no_gain(candidate, ranks)))
            continue
        parent, _, name = candidate.path.rpartition(".")
        model.get_submodule(parent).register_module(name, candidate.factorisation.factors(ranks))
        rows.append({
            "path": candidate.path, "method": candidate.method, "ranks": list(ranks),
            "full": [len(kept) for kept in candidate.factorisation.energy],
            "params": [candidate.params, costs[0]], "macs": [candidate.macs, costs[1]],
            "energy": min(float(kept[rank - 1]) for kept, rank in zip(candidate.factorisation.energy, ranks, strict=True)),
        })  # fmt: skip
    return rows, skipped, _notes(rows, candidates, settings)


def _candidates(
    model: "nn.Module", size: int, settings: FactoriseParams, context: StageContext
) -> tuple[list[Candidate], list[tuple[str, str]]]:
    from torch import nn

    from core.surgery.layers import shared_parameters, weight_layers
    from core.surgery.low_rank import Tucker, TwoFactors, costs_of, find_places, reason_against

    layers, skipped = weight_layers(model, settings.protected, settings.first_layer)
    layer_places, shared = find_places(model, list(layers), size), shared_parameters(model)
    candidates = []
    for path, layer in layers.items():
        context.control.checkpoint()
        if path not in layer_places:
            reason = "the network does not use it"
        elif path.partition(".")[0] == "head" and not settings.classifier:
            reason = "part of the classifier, which these settings leave whole"
        elif f"{path}.weight" in shared:
            reason = f"shares its weights with {shared[f'{path}.weight'].rpartition('.')[0]}"
        elif f"{path}.weight" in model.constraints:
            reason = f"its weights are kept {model.constraints[f'{path}.weight']}; factors would not be"
        else:
            reason = reason_against(layer)
        if reason:
            skipped.append((path, reason))
            continue
        large = isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1
        method = settings.convolutions if large else "svd"
        factorisation = Tucker(layer) if method == "tucker" else TwoFactors(layer)
        candidates.append(
            Candidate(path, method, factorisation, layer_places[path], *costs_of(layer, layer_places[path]))
        )
    return candidates, skipped


def _energy_for_budget(candidates: list[Candidate], settings: FactoriseParams) -> float:
    """The largest energy whose factors, with the layers that stay, are within the budget of parameters.

    The number of parameters never falls where the energy rises, so halving an interval finds it.
    """
    budget = settings.budget * sum(candidate.params for candidate in candidates)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _params_at(candidates, middle, settings) <= budget else (low, middle)
    return low


def _params_at(candidates: list[Candidate], energy: float, settings: FactoriseParams) -> int:
    costs = [(candidate, candidate.costs(energy, settings.round_to)) for candidate in candidates]
    return sum(candidate.params if cost is None else cost[0] for candidate, cost in costs)


def _no_gain(candidate: Candidate, ranks: "Ranks") -> str:
    params, macs = candidate.factorisation.costs(ranks, candidate.places)
    full = " and ".join(
        f"{rank} of {len(kept)}" for rank, kept in zip(ranks, candidate.factorisation.energy, strict=True)
    )
    if params >= candidate.params:
        return f"rank {full}: {params} parameters in place of {candidate.params}, no fewer"
    return f"rank {full}: {macs} MACs in place of {candidate.macs}, no fewer"


def _notes(rows: list[dict[str, Any]], candidates: list[Candidate], settings: FactoriseParams) -> list[str]:
    before = sum(candidate.params for candidate in candidates)
    after = before - sum(row["params"][0] - row["params"][1] for row in rows)
    notes = [
        f"{len(rows)} of {len(candidates)} layers factorised: {before} parameters became {after} "
        f"({percent(after / max(before, 1), 1)}).",
    ]
    if rows:
        notes.append(
            "A chain of small layers can take longer than one large layer with more MACs; look at the latency."
        )
    if settings.choose == "budget" and after > settings.budget * before:
        notes.append(
            f"The budget of {100 * settings.budget:g} % is out of reach: the smallest ranks, multiples of "
            f"{settings.round_to}, leave more."
        )
    return notes
