"""A model's profile as text for a terminal: tables with intervals, and last the machine's fingerprint."""

from collections.abc import Iterable, Sequence
from typing import Any

from core.common.numbers import percent
from core.common.text_tables import aligned
from core.profiling.model_profile import ModelProfile, ProfileRow, RuntimeProfile
from core.profiling.runtimes.base import count_threads
from core.profiling.throughput import Grid
from core.records.reports import Metric

_HEADINGS = (
    "Runtime",
    "Threads",
    "Batch",
    "Median ms",
    "99 % interval",
    "p90",
    "p99",
    "Images/s",
    "Runs",
    "Ready s",
)


def as_text(profile: ModelProfile) -> str:
    """Everything that was measured, to be read."""
    ran = [runtime for runtime in profile.runtimes if not runtime.missing]
    parts = [
        _head(profile),
        aligned(_HEADINGS, [_row(runtime, line) for runtime in ran for line in runtime.lines]),
        "\n".join(_uncertain(ran)),
        *(_beside(runtime) for runtime in ran),
        "\n".join(
            f"{runtime.label}: not measured. {runtime.missing}"
            for runtime in profile.runtimes
            if runtime.missing
        ),
        *(_comparison(profile, runtime) for runtime in ran if profile.against),
        *(_grid(runtime.label, runtime.grid) for runtime in ran if runtime.grid is not None),
        _layers(profile.layers) if profile.layers else "",
        _machine(profile.machine),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(profile: ModelProfile) -> str:
    facts = profile.facts
    shape = " × ".join(str(side) for side in profile.shape)
    lines = [profile.name]
    if facts:
        lines.append(
            f"{facts['size_mb'].value:.3f} MB on disk, weights {facts['weights_mb'].value:.3f} MB; "
            f"{(facts['params'].value or 0) / 1e6:.3f} M parameters in the file, {(facts['macs'].value or 0) / 1e6:.2f} M MACs"
        )
        if ";" in facts["macs"].how:
            lines.append(f"MACs: {facts['macs'].how}")
    lines.append(f"Random input of {shape}, kept in memory; times are of the model only")
    return "\n".join(lines)


def _row(runtime: RuntimeProfile, line: ProfileRow) -> list[str]:
    latency, first = line.metrics["latency_ms"], line is runtime.lines[0]
    ready = runtime.metrics.get("ready_s")
    return [
        runtime.label,
        str(line.threads),
        str(line.batch),
        _figure(latency.value),
        interval(latency),
        *(_figure(line.metrics[name].value) for name in ("latency_ms_p90", "latency_ms_p99")),
        f"{line.metrics['throughput'].value or 0:.1f}",
        str(latency.n),
        f"{ready.value:.1f}" if first and ready is not None and ready.value is not None else "",
    ]


def interval(metric: Metric) -> str:
    """The bounds; with fewer sessions than 99 % needs, the level that they really have."""
    if metric.low is None or metric.high is None:
        return "none (1 session)"
    if metric.is_range:
        return f"{_figure(metric.low)} … {_figure(metric.high)} (range)"
    level = f" ({percent(metric.level)})" if metric.level and metric.level < 0.99 else ""
    return f"{_figure(metric.low)} … {_figure(metric.high)}{level}"


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if value < 1 else f"{value:.3f}" if value < 100 else f"{value:.1f}"


def _uncertain(ran: Sequence[RuntimeProfile]) -> Iterable[str]:
    """Sentences about figures that stayed uncertain."""
    for runtime in ran:
        for line in runtime.lines:
            latency = line.metrics["latency_ms"]
            where = f"{runtime.label}, {count_threads(line.threads)}, batch {line.batch}"
            _, found, words = latency.how.partition("still uncertain")
            if found:
                yield f"{where}: still uncertain{words}; the machine is busy."
            elif latency.is_range:
                share = percent(latency.interrupted or 0.0)
                yield f"{where}: a range only, {share} of the runs were interrupted. Measure again when less runs here."


def _beside(runtime: RuntimeProfile) -> str:
    """What stands beside the times, each with how it was found."""
    labels = {
        "latency_ms_prepared": "With preprocessing",
        "memory_mb": "Memory",
        "energy_mj": "Energy",
        "power_w": "Power",
    }
    headline = runtime.lines[0].metrics["latency_ms"].how
    lines = [headline]
    for name, label in labels.items():
        metric = runtime.metrics.get(name)
        if metric is None:
            continue
        value = "–" if metric.value is None else f"{_figure(metric.value)} {metric.unit}"
        bounds = f" [{interval(metric)}]" if metric.low is not None else ""
        how = (
            metric.how.removeprefix(headline.partition(";")[0])
            .lstrip(",; ")
            .removeprefix(f"{label.lower()}: ")
        )
        lines.append(f"  {label:<19} {value}{bounds}: {how}")
    return "\n".join(lines)


def _comparison(profile: ModelProfile, runtime: RuntimeProfile) -> str:
    lines = [f"{profile.name} against {profile.against} in {runtime.label}:"]
    for line in runtime.lines:
        if change := line.change.get("latency_ms"):
            words = change.how.replace("the baseline", profile.against)
            lines.append(f"  {count_threads(line.threads)}, batch {line.batch}: {words}")
    return "\n".join(lines)


def _grid(label: str, grid: Grid) -> str:
    threads = sorted({cell.threads for cell in grid.cells})
    cells = {(cell.batch, cell.threads): cell for cell in grid.cells}
    rows, reasons = [], []
    for batch in sorted({cell.batch for cell in grid.cells}):
        row = [str(batch)]
        for count in threads:
            cell = cells[batch, count]
            if cell.throughput.value is None:
                reasons.append(f"Batch {batch}, {count_threads(count)}: {cell.throughput.how}")
            mark = "" if grid.sweet is None else " ★" if cell is grid.sweet else "  "
            row += [_rate(cell.throughput) + mark, _figure(cell.latency_ms)]
        rows.append(row)
    headings = ["Batch"] + [
        text for count in threads for text in (f"Images/s, {count_threads(count)}", "ms a batch")
    ]
    lines = [f"Throughput in {label}", aligned(headings, rows, left=0), *reasons]
    if sweet := grid.sweet:
        lines.append(
            f"★ Batches of {sweet.batch} on {count_threads(sweet.threads)}: no larger batch and no "
            "more threads give measurably more images a second."
        )
    return "\n".join(lines)


def _rate(metric: Metric) -> str:
    if metric.value is None:
        return "–"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.0f}"
    return f"{metric.value:.0f} [{metric.low:.0f} … {metric.high:.0f}]"


def _layers(layers: dict[str, Any]) -> str:
    headings = (
        "Layer",
        "Type",
        "Output",
        "Parameters",
        "Weights kB",
        "M MACs",
        "ms",
        "Share",
        "Moved kB",
        "Ran in",
    )
    total = layers["total_ms"] or 1.0
    rows = [
        [
            layer["layer"],
            f"{layer['type']} {layer['shape']}".strip(),
            "×".join(str(side) for side in layer["output"]),
            str(layer["params"] or "–"),
            f"{layer['weight_bytes'] / 1e3:.1f}" if layer["weight_bytes"] else "–",
            f"{layer['macs'] / 1e6:.2f}" if layer["macs"] else "–",
            "–" if layer["ms"] is None else f"{layer['ms']:.4f}",
            "–" if layer["ms"] is None else percent(layer["ms"] / total, 1),
            f"{layer['moved_bytes'] / 1e3:.1f}" if layer["moved_bytes"] else "–",
            layer["precision"] + (" (fallback)" if layer["fallback"] else ""),
        ]
        for layer in layers["layers"]
    ]
    lines = [
        f"Layers in ONNX Runtime on the CPU, 1 thread: {total:.4f} ms in all, medians of {layers['runs']} runs; its profiler "
        "adds some microseconds to each",
        aligned(headings, rows, left=3),
    ]
    if layers["fallbacks"]:
        names = ", ".join(layers["fallbacks"])
        lines.append(f"Computed in floating point although the file is quantized: {names}")
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
    lines = [
        f"Machine: {machine['processor']}, {machine['physical_cores']} cores ({machine['logical_cores']} threads), "
        f"{machine['memory_bytes'] / 1e9:.1f} GB; {machine['system']}",
        f"  {' '.join(machine['instructions']) or 'instruction sets unknown'}",
        f"  GPU: {', '.join(machine['gpu']) or 'none'}; Python {machine['python']}, {versions}",
    ]
    return "\n".join(lines)
