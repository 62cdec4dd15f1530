"""Settings of a training that belong together, to fill in at once. Readable without torch.

Sources: *fine-tune* follows the usual recipe for pretrained networks (AdamW, a short warm-up, layer-wise rates as of BEiT, arXiv 2106.08254);
*from scratch, strong* that of Wightman et al. 2021 ("ResNet strikes back", arXiv 2110.00476) with the steps of small ResNets (SGD, 0.1). Both
name the same settings, so that one takes back what the other set. The batch size stays what it is.
"""

from core.common.params import Preset

PRESETS = (
    Preset(
        "fine-tune",
        "Fine-tune",
        "20 epochs of AdamW with small steps, smaller ones further down, for weights that are trained already.",
        {
            "epochs": 20, "optimiser": "adamw", "learning_rate": 0.0005, "weight_decay": 0.05, "warmup_epochs": 1.0,
            "patience": 0, "mixup": 0.2, "cutmix": 0.0, "erasing": 0.0, "drop_path": 0.0, "averaging": 0.99, "layer_decay": 0.8,
        },
    ),
    Preset(
        "from-scratch-strong",
        "From scratch, strong",
        "300 epochs of SGD on images mixed, pasted over and erased, with averaged weights, for random weights.",
        {
            "epochs": 300, "optimiser": "sgd", "learning_rate": 0.1, "weight_decay": 0.0005, "warmup_epochs": 5.0,
            "patience": 0, "mixup": 0.2, "cutmix": 1.0, "erasing": 0.25, "drop_path": 0.0, "averaging": 0.999, "layer_decay": 1.0,
        },
    ),
)  # fmt: skip
