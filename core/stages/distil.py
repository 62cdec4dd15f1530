"""Knowledge distillation: a student trained on what a teacher answers, sees and relates.

Sources: Hamza et al. (doi 10.3390/bdcc10050131) and Hinton, Vinyals, Dean 2015, arXiv 1503.02531:
(1−α)·CE(y_s, y) + α·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)), T = 4, α = 0.3. Hamza et al. print the
divergence with student and teacher the other way round; the form is a choice. To it are added,
each with a weight of its own, the other kinds of Musa et al.'s survey:

- feature-based: hints (Romero et al. 2015, arXiv 1412.6550), learned adapters between feature
  maps; attention transfer (Zagoruyko and Komodakis 2017, arXiv 1612.03928), where maps are strong;
- response-based in other forms: decoupled (DKD, Zhao et al. 2022, arXiv 2203.08679), by correlation (DIST, Huang et al. 2022, arXiv
  2205.10536), on standardised logits (Sun et al. 2024, arXiv 2403.01643);
- relation-based: distances and angles between the images of a batch (RKD, Park et al. 2019,
  arXiv 1904.05068), on pooled features.

Up to three teachers: the mean of their softened answers is learned, weighted if wanted (You et al. 2017, doi 10.1145/3097983.3098135);
feature maps and relations are the first one's. A stage that continues the network which also teaches it is self-distillation: its teacher is
the best epoch of that training (Furlanello et al. 2018, arXiv 1805.04770, who start the student afresh: branch it off the source for that).

Where we depart: FitNets trains up to its one hint first and distils afterwards; here all parts
train together, with a hint at each change of resolution. Sums over a map are means. DKD's weight of its warm-up is left out.

What it does badly: none of the forms helps where the teacher is no better than the student; the correlated and standardised ones ignore how sure a
teacher is, and with few classes (ten) the other classes say little.

Shapes: `b` batch, `k` classes; z_t and z_s are logits [b, k].
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from core.common.errors import EspalierError, Problem
from core.common.params import Params, param
from core.models.memory_format import to_channels_last
from core.models.network_facts import NetworkFacts
from core.stages.base import ModelStage
from core.stages.context import StageContext
from core.stages.coverage_case import TRAINED, CoverageCase
from core.stages.fine_tune import run_training
from core.stages.result import StageResult
from core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.training.distillation import FeaturePair
    from core.training.losses import Losses, LossFunction


def _other_teacher(label: str) -> Any:
    return param(
        "", label,
        "Another stage or checkpoint folder whose softened answers are averaged with the first one's; empty has none.",
        advanced=True, added=True, when="alpha>0",
    )  # fmt: skip


def _weight(teacher: str) -> Any:
    return param(
        1.0, "Its weight", "In the mean of the teachers' answers; the first teacher has 1.",
        gt=0, le=100, step=0.1, advanced=True, added=True, when=teacher,
    )  # fmt: skip


class DistilParams(Params):
    teacher: str = param(
        ..., "Teacher", "Id of the stage whose network teaches, or a checkpoint folder.", min_length=1
    )
    second_teacher: str = _other_teacher("Second teacher")
    second_weight: float = _weight("second_teacher")
    third_teacher: str = _other_teacher("Third teacher")
    third_weight: float = _weight("third_teacher")
    temperature: float = param(
        4.0,
        "Temperature T",
        "Softens both distributions; higher shows more of the teacher's ranking.",
        gt=0,
        le=100,
        step=0.5,
        when="alpha>0",
    )
    alpha: float = param(
        0.3, "Weight α", "Share of the distillation loss; the rest is cross-entropy.", ge=0, le=1, step=0.05
    )
    form: Literal["teacher-student", "student-teacher", "decoupled", "correlated"] = param(
        "teacher-student",
        "Divergence",
        "Which way round the divergence is taken.",
        choices={
            "teacher-student": "KL(teacher ‖ student): Hinton's form.",
            "student-teacher": "KL(student ‖ teacher): as printed in Hamza et al.",
            "decoupled": "Target class and the others apart, each with its weight (DKD).",
            "correlated": "Correlation of the chances over classes and over images; for teachers far stronger than the student (DIST).",
        },
        advanced=True,
        when="alpha>0",
    )
    others: float = param(
        8.0,
        "Other classes",
        "Weight of the divergence among the classes that are not the target (DKD's β); 1 to 8 are usual.",
        ge=0,
        le=1000,
        step=1,
        advanced=True,
        added=True,
        when="form=decoupled",
    )
    standardise: bool = param(
        False,
        "Standardise logits",
        "Give each image's logits mean 0 and variance 1 before they are compared, so that the student need not copy the teacher's size of them.",
        advanced=True,
        added=True,
        when="alpha>0",
    )
    hints: float = param(
        0.0,
        "Hints",
        "Weight of the difference between feature maps, through learned adapters (feature-based); 0 is off, 1 a start.",
        ge=0,
        le=100_000,
        step=0.5,
    )
    attention: float = param(
        0.0,
        "Attention transfer",
        "Weight of the difference in where feature maps are strong (feature-based); 0 is off, 1000 is usual.",
        ge=0,
        le=100_000,
        step=100,
    )
    rkd_distance: float = param(
        0.0,
        "Distances",
        "Weight of the difference in the distances between images (relation-based, RKD); 0 is off, 25 is usual.",
        ge=0,
        le=100_000,
        step=5,
    )
    rkd_angle: float = param(
        0.0,
        "Angles",
        "Weight of the difference in the angles between images (relation-based, RKD); 0 is off, 50 is usual.",
        ge=0,
        le=100_000,
        step=5,
    )
    layers: str = param(
        "",
        "Layer pairs",
        "Layers for hints and attention, student=teacher between commas, as in 'body.layer1=body.layer2'. "
        "Empty: the last map of each resolution, matched from the end.",
        advanced=True,
    )
    training: TrainingSettings = param(TrainingSettings(), "Training", "How the student is trained.")


def parse_layers(text: str) -> list[tuple[str, str]]:
    """The pairs (student's layer, teacher's layer) in a setting.

    Raises:
        EspalierError: when a part is no pair.
    """
    pairs = []
    for part in text.split(",") if text.strip() else ():
        names = [name.strip() for name in part.split("=")]
        if len(names) != 2 or not all(names):
            raise EspalierError(
                f"Expected layer pairs as in 'body.layer1=body.layer2', received {part.strip()!r}.",
                "Write the student's layer, '=' and the teacher's layer, with commas between pairs.",
            )
        pairs.append((names[0], names[1]))
    return pairs


class Distil(ModelStage[DistilParams]):
    id = "distil"
    title = "Distil"
    group = "Distillation"
    icon = "distil"
    keeps_shape = True
    optional_references = ("second_teacher", "third_teacher")
    help = "Trains the network on a teacher's softened answers, feature maps or relations besides the labels."
    Settings = DistilParams

    def references(self, settings: DistilParams) -> dict[str, str]:
        others = {name: getattr(settings, name) for name in self.optional_references}
        return {"teacher": settings.teacher, **{name: value for name, value in others.items() if value}}

    def epochs(self, settings: DistilParams) -> float:
        teachers = len(self.references(settings))
        return settings.training.epochs * (1 + 0.4 * teachers)  # a forward pass of each

    def leaves_weights(self, settings: DistilParams) -> bool:
        return settings.training.epochs == 0

    def coverage(self) -> tuple[CoverageCase, ...]:
        taught = {"teacher": TRAINED}
        several = {**taught, "second_teacher": TRAINED, "second_weight": 0.5}
        relations = {"alpha": 0, "rkd_distance": 25, "rkd_angle": 50}
        return (
            CoverageCase("distil-response", "Distillation, response", taught),
            CoverageCase(
                "distil-feature",
                "Distillation, feature",
                {**taught, "alpha": 0, "hints": 1, "attention": 1000},
            ),
            CoverageCase("distil-relation", "Distillation, relation", {**taught, **relations}),
            CoverageCase("distil-several", "Distillation, two teachers", several),
        )

    def check(self, settings: DistilParams, facts: NetworkFacts) -> list[Problem]:
        problems = []
        weights = ("alpha", "hints", "attention", "rkd_distance", "rkd_angle")
        if not any(getattr(settings, name) for name in weights):
            problems.append(Problem(
                "Every distillation weight is 0, so the teacher would teach nothing.",
                f"Set one of {', '.join(weights)} above 0, or use 'Train'.", ("alpha",),
            ))  # fmt: skip
        try:
            parse_layers(settings.layers)
        except EspalierError as error:
            problems.append(Problem(error.message, error.advice, ("layers",)))
        return problems

    def run(self, model: "nn.Module", settings: DistilParams, context: StageContext) -> StageResult:
        from core.data.randomness import derive_seed
        from core.training.distillation import make_adapters
        from core.training.hooks import Hooks

        to_channels_last(model, context.device)
        references = self.references(settings).values() if settings.alpha else [settings.teacher]
        teachers = [
            to_channels_last(context.reference(reference), context.device).eval().requires_grad_(False)
            for reference in references
        ]
        result = StageResult(model)
        pairs = _pairs(model, teachers[0], settings, context)
        if pairs:
            result.notes.append(f"Feature maps compared: {'; '.join(str(pair) for pair in pairs)}.")
            result.facts["layer_pairs"] = [[pair.student.path, pair.teacher.path] for pair in pairs]
        adapters = make_adapters(
            pairs if settings.hints else (), derive_seed(context.seed, context.key, "adapters")
        )
        to_channels_last(adapters, context.device)
        loss = _loss(settings, list(zip(teachers, _weights(settings), strict=False)), pairs, adapters)
        hooks = Hooks(extra_modules=[adapters])
        result.add_training(run_training(model, settings.training, context, loss=loss, hooks=hooks))
        return result


def _pairs(
    model: "nn.Module", teacher: "nn.Module", settings: DistilParams, context: StageContext
) -> "list[FeaturePair]":
    """The layers that hints and attention compare; none where both are off."""
    import torch

    from core.training.distillation import layer_pairs

    if not (settings.hints or settings.attention):
        return []
    size, channels = context.preprocess.size, context.preprocess.channels
    images = torch.zeros(2, channels, size, size, device=context.device)
    pairs = layer_pairs(model.eval(), teacher, images, parse_layers(settings.layers))
    if settings.attention and all(pair.positions == 1 for pair in pairs):
        raise EspalierError(
            "Attention transfer compares where maps are strong, but the maps of student and teacher "
            "share one position only.",
            "Set the weight of attention to 0, or name layers with larger maps.",
        )
    return pairs


def _weights(settings: DistilParams) -> list[float]:
    """Of the teachers that there are, in the order of the settings."""
    others = (
        (settings.second_teacher, settings.second_weight),
        (settings.third_teacher, settings.third_weight),
    )
    return [1.0, *(weight for teacher, weight in others if teacher)]


def _loss(
    settings: DistilParams,
    teachers: "Sequence[tuple[nn.Module, float]]",
    pairs: "Sequence[FeaturePair]",
    adapters: "nn.ModuleList",
) -> "LossFunction":
    """The weighted parts by name; a part whose weight is 0 is not computed.

    Args: teachers: with their weights; the first one shows its feature maps, too.
    """
    import torch
    from torch.nn import functional

    from core.training.distillation import POOLED, tapped
    from core.training.losses import Losses

    (teacher, _), *others = teachers
    weights = [weight for _, weight in teachers]
    pooled = {POOLED} if settings.rkd_distance or settings.rkd_angle else set()
    student_paths = pooled | {pair.student.path for pair in pairs}
    teacher_paths = pooled | {pair.teacher.path for pair in pairs}

    def loss(model: "nn.Module", images: "Tensor", labels: "Tensor") -> "Losses":
        with tapped(model, student_paths) as learned:
            logits = model(images)
        with torch.no_grad():
            with tapped(teacher, teacher_paths) as taught:
                answers = [teacher(images)]
            answers += [other(images) for other, _ in others]
        parts: dict[str, Tensor] = {}
        if settings.alpha < 1:
            hard = functional.cross_entropy(
                logits.float(), labels, label_smoothing=settings.training.label_smoothing
            )
            parts["cross_entropy"] = (1 - settings.alpha) * hard
        if settings.alpha:
            parts["distillation"] = settings.alpha * _taught(settings, logits, answers, weights, labels)
        with torch.autocast(images.device.type, enabled=False):
            parts |= _structure(settings, learned, taught, pairs, adapters)
        return Losses(logits, parts)

    return loss


def _taught(
    settings: DistilParams,
    logits: "Tensor",
    every: "Sequence[Tensor]",
    weights: "Sequence[float]",
    labels: "Tensor",
) -> "Tensor":
    """The response-based part, in the form that the settings name.

    Args: every: the teachers' answers, with their weights.
    """
    from core.training.answer_losses import correlation_loss, decoupled_loss, mean_answers, standardised
    from core.training.distillation import distillation_loss

    if settings.standardise:
        logits, every = standardised(logits), [standardised(answers) for answers in every]
    answers = mean_answers(every, weights, settings.temperature)
    if settings.form == "decoupled":
        return decoupled_loss(logits, answers, labels, settings.temperature, settings.others)
    if settings.form == "correlated":
        return correlation_loss(logits, answers, settings.temperature)
    return distillation_loss(logits, answers, settings.temperature, settings.form)


def _structure(
    settings: DistilParams,
    learned: "dict[str, Tensor]",
    taught: "dict[str, Tensor]",
    pairs: "Sequence[FeaturePair]",
    adapters: "nn.ModuleList",
) -> "dict[str, Tensor]":
    """The weighted feature- and relation-based parts, from the layers' outputs by path."""
    from core.training.distillation import POOLED, angle_loss, attention_loss, distance_loss, hint_loss

    maps = [(learned[pair.student.path], taught[pair.teacher.path]) for pair in pairs]
    parts: dict[str, Tensor] = {}
    if settings.hints:
        hints = [hint_loss(*both, adapter) for both, adapter in zip(maps, adapters, strict=True)]
        parts["hints"] = settings.hints * sum(hints[1:], hints[0])
    if settings.attention:
        attention = [attention_loss(*both) for both in maps]
        parts["attention"] = settings.attention * sum(attention[1:], attention[0])
    if settings.rkd_distance:
        parts["rkd_distance"] = settings.rkd_distance * distance_loss(learned[POOLED], taught[POOLED])
    if settings.rkd_angle:
        parts["rkd_angle"] = settings.rkd_angle * angle_loss(learned[POOLED], taught[POOLED])
    return parts
