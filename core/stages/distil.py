"""Knowledge distillation from the outputs of a teacher (response-based).

Source: Hinton, Vinyals, Dean 2015, arXiv 1503.02531; R1 (doi 10.3390/bdcc10050131):
L = (1−α)·CE(y_s, y) + α·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)), T = 4, α = 0.3.
R1 prints the divergence with student and teacher the other way round; the form is a choice.

Shapes: `b` batch, `k` classes; z_t and z_s are logits [b, k].
"""

from typing import TYPE_CHECKING, Literal

from core.params import Params, param
from core.stages.base import ModelStage, StageContext, StageResult, run_training
from core.training_settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.training import Losses


class DistilParams(Params):
    teacher: str = param(
        ..., "Teacher", "Id of the stage whose network teaches, or a checkpoint folder.", min_length=1
    )
    temperature: float = param(
        4.0,
        "Temperature T",
        "Softens both distributions; higher shows more of the teacher's ranking.",
        gt=0,
        le=100,
        step=0.5,
    )
    alpha: float = param(
        0.3, "Weight α", "Share of the distillation loss; the rest is cross-entropy.", ge=0, le=1, step=0.05
    )
    form: Literal["teacher-student", "student-teacher"] = param(
        "teacher-student",
        "Divergence",
        "Which way round the divergence is taken.",
        choices={
            "teacher-student": "KL(teacher ‖ student): Hinton's form.",
            "student-teacher": "KL(student ‖ teacher): as printed in R1.",
        },
        advanced=True,
    )
    training: TrainingSettings = param(TrainingSettings(), "Training", "How the student is trained.")


def distillation_loss(student: "Tensor", teacher: "Tensor", temperature: float, form: str) -> "Tensor":
    """T² times the mean divergence of the softened outputs [b, k]; in nats."""
    from torch.nn import functional

    log_student = functional.log_softmax(student.float() / temperature, 1)
    log_teacher = functional.log_softmax(teacher.float() / temperature, 1)
    if form == "student-teacher":
        log_student, log_teacher = log_teacher, log_student
    divergence = functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


class Distil(ModelStage[DistilParams]):
    id = "distil"
    title = "Distil"
    group = "Distillation"
    help = "Trains the network on a teacher's softened answers besides the labels."
    Settings = DistilParams

    def references(self, settings: DistilParams) -> dict[str, str]:
        return {"teacher": settings.teacher}

    def epochs(self, settings: DistilParams) -> float:
        return settings.training.epochs * 1.4  # the teacher's forward pass

    def run(self, model: "nn.Module", settings: DistilParams, context: StageContext) -> StageResult:
        import torch
        from torch.nn import functional

        from core.training import Losses

        teacher = context.reference(settings.teacher).to(context.device, memory_format=torch.channels_last)
        teacher.eval().requires_grad_(False)

        def loss(model: "nn.Module", images: "Tensor", labels: "Tensor") -> "Losses":
            logits = model(images)
            with torch.no_grad():
                taught = teacher(images)
            hard = functional.cross_entropy(
                logits.float(), labels, label_smoothing=settings.training.label_smoothing
            )
            soft = distillation_loss(logits, taught, settings.temperature, settings.form)
            return Losses(
                logits, {"cross_entropy": (1 - settings.alpha) * hard, "distillation": settings.alpha * soft}
            )

        result = StageResult(model)
        result.add_training(run_training(model, settings.training, context, loss=loss))
        return result
