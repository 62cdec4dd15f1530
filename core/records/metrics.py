"""The catalogue of metrics: names, units, direction and how a change is stated.

Tables, the window and exports read this; nobody else spells a metric's label.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric.

    Attributes:
        better: "higher", "lower", or "" where neither is better by itself.
        change: "points" (difference) or "percent" (relative to the baseline) or "" (none).
        decimals: digits behind the point in tables.
    """

    id: str
    label: str
    unit: str
    better: Literal["higher", "lower", ""]
    change: Literal["points", "percent", ""]
    decimals: int
    help: str
    scale: float = 1.0
    shown_unit: str = ""


def _all(*kinds: MetricKind) -> dict[str, MetricKind]:
    return {kind.id: kind for kind in kinds}


METRICS: dict[str, MetricKind] = _all(
    MetricKind("top1", "Top-1", "%", "higher", "points", 2, "Share of test images whose first answer is right, on the exported file."),
    MetricKind("top5", "Top-5", "%", "higher", "points", 2, "Share of test images with the right class among the first five; from 20 classes on."),
    MetricKind("balanced_accuracy", "Balanced acc.", "%", "higher", "points", 2, "Mean of the per-class recalls: each class counts the same, however many images it has."),
    MetricKind("macro_f1", "Macro F1", "%", "higher", "points", 2, "Mean over classes of the harmonic mean of precision and recall."),
    MetricKind("latency_ms", "Latency", "ms", "lower", "percent", 3, "Median time of one image (batch 1) on one thread, input in memory, model only."),
    MetricKind("latency_ms_p90", "Latency p90", "ms", "lower", "", 3, "Nine of ten images take at most this long."),
    MetricKind("latency_ms_p99", "Latency p99", "ms", "lower", "", 3, "Ninety-nine of a hundred images take at most this long."),
    MetricKind("latency_ms_all_cores", "Latency, all cores", "ms", "lower", "", 3, "Median time of one image (batch 1) with a thread on every core."),
    MetricKind("latency_ms_prepared", "Latency, prepared", "ms", "lower", "", 3, "Median time of one image (batch 1) on one thread from the decoded image in memory on: resized and normalised, then the model."),
    MetricKind("throughput", "Throughput", "images/s", "higher", "percent", 1, "Images per second in batches of 32."),
    MetricKind("size_mb", "Size", "MB", "lower", "percent", 3, "Size of the file on disk; 1 MB = 1 000 000 bytes."),
    MetricKind("weights_mb", "Weights", "MB", "lower", "percent", 3, "Size of the weights in the file, as they are stored."),
    MetricKind("memory_mb", "Memory", "MB", "lower", "percent", 1, "Peak resident memory of a fresh inference process above an empty one, batch 1."),
    MetricKind("params", "Parameters", "", "lower", "percent", 3, "Trainable parameters of the network.", 1e-6, "M"),
    MetricKind("nonzero_params", "Non-zero", "", "lower", "percent", 3, "Parameters that are not zero.", 1e-6, "M"),
    MetricKind("macs", "MACs", "", "lower", "percent", 2, "Multiply-accumulate operations for one image.", 1e-6, "M"),
    MetricKind("flops", "FLOPs", "", "lower", "percent", 2, "Floating-point operations for one image: 2 × MACs.", 1e-6, "M"),
    MetricKind("energy_mj", "Energy", "mJ", "lower", "percent", 3, "Energy of one image (batch 1, one thread); measured by the processor's counter or estimated from a stated power: its provenance says which."),
    MetricKind("power_w", "Power", "W", "lower", "", 1, "Average power while images are classified one after the other."),
    MetricKind("stored_mb", "Stored", "MB", "lower", "percent", 3, "Size of the file when it is compressed (deflate; indices of shared weights Huffman-coded): what zeros and shared weights save in storage and transfer."),
    MetricKind("compression_ratio", "Fewer parameters", "×", "higher", "", 2, "Parameters of the baseline divided by this model's."),
    MetricKind("memory_reduction", "Memory saved", "%", "higher", "", 1, "Share of the baseline's peak memory that is saved."),
    MetricKind("training_seconds", "Training", "s", "lower", "", 1, "Time spent training this stage, without export and measuring."),
    MetricKind("pytorch_latency_ms", "PyTorch latency", "ms", "lower", "", 3, "Median time of one image (batch 1) in PyTorch on the run's device, in the number format that the stage trains in; on a GPU in float32."),
    MetricKind("pytorch_throughput", "PyTorch throughput", "images/s", "higher", "", 1, "Images per second in batches of 32 in PyTorch on the run's device, likewise."),
    MetricKind("pytorch_memory_mb", "PyTorch memory", "MB", "lower", "", 1, "Peak memory on the GPU in PyTorch, batch 1."),
    MetricKind("pytorch_energy_mj", "PyTorch energy", "mJ", "lower", "", 3, "Energy of one image in PyTorch on the run's device, where it is counted."),
    MetricKind("pytorch_mixed_latency_ms", "PyTorch latency, mixed", "ms", "lower", "", 3, "Median time of one image (batch 1) in PyTorch on the run's GPU in mixed precision."),
    MetricKind("pytorch_mixed_throughput", "PyTorch throughput, mixed", "images/s", "higher", "", 1, "Images per second in batches of 32 in PyTorch on the run's GPU in mixed precision."),
    MetricKind("pytorch_mixed_memory_mb", "PyTorch memory, mixed", "MB", "lower", "", 1, "Peak memory on the GPU in PyTorch in mixed precision, batch 1."),
    MetricKind("agreement", "Agreement", "%", "higher", "", 2, "Share of test images on which the file and the PyTorch model give the same class."),
    MetricKind("max_logit_difference", "Logit diff.", "", "lower", "", 6, "Largest absolute difference between the file's and the PyTorch model's logits."),
)  # fmt: skip

TABLE_COLUMNS: tuple[str, ...] = (
    "top1", "latency_ms", "latency_ms_p90", "throughput", "size_mb", "memory_mb",
    "energy_mj", "params", "macs", "compression_ratio", "training_seconds",
)  # fmt: skip
