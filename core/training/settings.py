"""The declaration of a training phase (no torch); Hamza et al.'s hyper-parameters are the defaults."""

from typing import ClassVar, Literal

from core.common.params import Params, Preset, param
from core.training.presets import PRESETS

FORWARD_SHARE = 0.35  # of the time of a training step: a forward pass without gradients


class TrainingSettings(Params):
    """How weights are trained: shared by every stage that trains.

    Source of the defaults: Hamza et al. (doi 10.3390/bdcc10050131). The value of its label smoothing is
    not published; 0.1 is the field's usual one.
    """

    presets: ClassVar[tuple[Preset, ...]] = PRESETS

    epochs: int = param(
        100,
        "Epochs",
        "At most this many passes over the training images; 0 trains nothing.",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    batch_size: int = param(
        128, "Batch size", "Images per optimiser step.", unit="images", ge=2, le=8192, step=16
    )
    optimiser: Literal["adamax", "adam", "adamw", "sgd", "lamb"] = param(
        "adamax",
        "Optimiser",
        "Rule that turns gradients into steps.",
        choices={
            "adamax": "Adam with the infinity norm; Hamza et al.'s choice.",
            "adam": "Adaptive moments.",
            "adamw": "Adam with decoupled weight decay.",
            "sgd": "Plain gradient descent with Nesterov momentum 0.9.",
            "lamb": "Adam whose steps are as long as each layer's weights allow; for large batches and learning rates (0.005).",
        },
    )
    learning_rate: float = param(
        5e-5,
        "Learning rate",
        "The first (and largest) step size. 5e-5 suits fine-tuning with Adamax; training from scratch wants 100 times more.",
        gt=0,
        le=10,
        step=0.0001,
    )
    weight_decay: float = param(
        5e-4, "Weight decay", "Strength of the pull of weights towards zero.", ge=0, le=1, step=0.0001
    )
    schedule: Literal["cosine", "cosine-restarts", "constant"] = param(
        "cosine",
        "Schedule",
        "How the learning rate falls.",
        choices={
            "cosine": "Along half a cosine from the learning rate to zero.",
            "cosine-restarts": "Cosine, starting again at every restart period (SGDR).",
            "constant": "It does not.",
        },
    )
    restart_epochs: int = param(
        10,
        "Restart period",
        "Epochs from one warm restart to the next.",
        unit="epochs",
        ge=1,
        le=10_000,
        advanced=True,
        when="schedule=cosine-restarts",
    )
    warmup_epochs: float = param(
        0.0,
        "Warm-up",
        "Epochs over which the learning rate rises from zero.",
        unit="epochs",
        ge=0,
        le=1000,
        step=0.5,
        advanced=True,
    )
    label_smoothing: float = param(
        0.1, "Label smoothing", "Share of the target spread over all classes.", ge=0, lt=1, step=0.05
    )
    clip_norm: float = param(
        1.0,
        "Gradient clipping",
        "Largest norm of all gradients together; 0 switches it off.",
        ge=0,
        le=1000,
        step=0.5,
    )
    scale_penalty: float = param(
        0.0,
        "Scale penalty",
        "Network slimming: strength of an L1 penalty on the scales of batch norms, which drives some to zero; prune by the importance 'batch-norm' afterwards. 1e-4 is usual; 0 switches it off.",
        ge=0,
        le=1,
        step=0.0001,
        advanced=True,
        added=True,
    )
    group_penalty: float = param(
        0.0,
        "Group penalty",
        "Strength of a pull towards zero on channels that can only go together, in all their layers; prune them afterwards, by 'l2' or 'l1'. 1e-4 to 1e-3 is usual; 0 switches it off.",
        ge=0,
        le=1,
        step=0.0001,
        advanced=True,
        added=True,
    )
    group_form: Literal["importance", "growing"] = param(
        "importance",
        "Its growth",
        "How the pull is spread over channels and epochs.",
        choices={
            "importance": "Up to 16 times as strong on the channels that matter least, the same all the time (DepGraph).",
            "growing": "From nothing on, stronger each epoch by how little a channel matters (growing regularisation, GReg).",
        },
        advanced=True,
        added=True,
        when="group_penalty>0",
    )
    group_scope: Literal["block-internal", "whole-groups"] = param(
        "block-internal",
        "Its scope",
        "Which channels are pulled; take that of the pruning that follows.",
        choices={
            "block-internal": "Those inside residual blocks; all where there are no blocks.",
            "whole-groups": "Every group of coupled layers, the residual stream too.",
        },
        advanced=True,
        added=True,
        when="group_penalty>0",
    )
    mixup: float = param(
        0.0,
        "Mixup",
        "Mixes each image and its label with another's, by a share from a Beta distribution of this strength; 0.1 to 0.8 are usual, 0 switches it off.",
        ge=0,
        le=10,
        step=0.1,
        advanced=True,
        added=True,
    )
    cutmix: float = param(
        0.0,
        "CutMix",
        "Pastes a box of another image over each, by a share from a Beta distribution of this strength; 1 is usual, 0 switches it off. With mixup a batch takes either.",
        ge=0,
        le=10,
        step=0.1,
        advanced=True,
        added=True,
    )
    erasing: float = param(
        0.0,
        "Random erasing",
        "Share of the images in which a box of 2 to 33 % of the area gets the mean colour; 0.25 is usual.",
        ge=0,
        le=1,
        step=0.05,
        advanced=True,
        added=True,
    )
    drop_path: float = param(
        0.0,
        "Stochastic depth",
        "Share of the images for which the last residual block's branch is left out, rising from 0 in the first block; 0.1 is usual for small networks, 0 leaves none out.",
        ge=0,
        lt=1,
        step=0.05,
        advanced=True,
        added=True,
    )
    averaging: float = param(
        0.0,
        "Weight averaging",
        "Decay of a moving average of the weights, which is judged and kept instead of the last ones; 0.999 for some thousand steps, 0 keeps none.",
        ge=0,
        lt=1,
        step=0.001,
        advanced=True,
        added=True,
    )
    layer_decay: float = param(
        1.0,
        "Layer decay",
        "Factor on the learning rate for each twelfth of the depth from the head down, for fine-tuning; 0.75 is usual, 1 trains all layers alike.",
        gt=0,
        le=1,
        step=0.05,
        advanced=True,
        added=True,
    )
    patience: int = param(
        15,
        "Patience",
        "Stop after this many epochs without a better validation accuracy; 0 never stops early.",
        unit="epochs",
        ge=0,
        le=10_000,
    )
    precision: Literal["float32", "auto", "mixed"] = param(
        "float32",
        "Precision",
        "Number format of the forward and backward pass; weights stay float32.",
        choices={
            "float32": "Full precision.",
            "auto": "Mixed where it is faster: always on CUDA; on a processor with bfloat16 a short trial decides (the stage says what it found).",
            "mixed": "bfloat16 on GPUs and processors that have it even where it is slower, float16 with gradient scaling on older GPUs, float32 elsewhere (the run says which).",
        },
        advanced=True,
    )


def with_precision(settings: TrainingSettings, precision: str) -> TrainingSettings:
    """The same training in another precision."""
    return settings.model_copy(update={"precision": precision})
