"""Run folders with made-up reports, for tests that need results but no training."""

from pathlib import Path

from core.document.pipeline import Pipeline
from core.records.reports import Artefact, Metric, StageReport, Verification
from core.runs.home import Home
from core.runs.new_run import create_run
from core.runs.run_folder import RunFolder

TINY = """
espalier: 1
name: Tiny
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 200}
sources:
  - {id: network, settings: {backbone: resnet20}}
stages:
  - {id: fp32, kind: train, name: FP32, settings: {training: {epochs: 1, learning_rate: 0.005}}}
  - {id: pruned, kind: prune-channels, name: Pruned, settings: {ratio: 0.5, training: {epochs: 1}}}
  - {id: taught, kind: distil, name: Taught, settings: {teacher: fp32, training: {epochs: 1}}}
"""

GOOD = Verification(
    images=200,
    agreement=100.0,
    explained_agreement=100.0,
    max_logit_difference=2.5e-6,
    limit=1e-3,
    good=True,
    sentence="Same class on 200 images.",
)


def artefact(stage: str, right: float, latency: float, size: float, **change: Metric) -> Artefact:
    """A float32 file with a few metrics and, where given, paired changes."""
    metrics = {
        "top1": Metric(
            value=right, unit="%", low=right - 2, high=right + 2, level=0.95, n=200, how="ONNX Runtime CPU"
        ),
        "latency_ms": Metric(
            value=latency, unit="ms", low=0.99 * latency, high=1.01 * latency, level=0.99, n=90,
            how="ONNX Runtime CPU, 1 thread, batch 1",
        ),
        "size_mb": Metric(value=size, unit="MB"),
        "params": Metric(value=size * 250_000),
        "agreement": Metric(value=100.0, unit="%"),
    }  # fmt: skip
    path = f"stages/{stage}/float32.onnx"
    return Artefact(
        id="float32",
        label="ONNX float32",
        precision="float32",
        path=path,
        sha256="0",
        bytes=int(size * 1e6),
        verification=GOOD,
        metrics=metrics,
        change=change,
    )


def report(stage: str, name: str, kind: str, made: Artefact, notes: tuple[str, ...] = ()) -> StageReport:
    return StageReport(
        key=stage,
        id=stage,
        source="network",
        seed=42,
        name=name,
        kind=kind,
        seconds=12.0,
        headline=made.id,
        artefacts=[made],
        notes=list(notes),
        skipped=[("layer1", "shared by several blocks")],
        history=[{"epoch": 1.0, "train_loss": 1.0, "val_loss": 1.1, "train_top1": 50.0, "val_top1": 52.0}],
    )


def made_run(pipeline: Pipeline, home: Home, base: Path, stages: int = 3) -> RunFolder:
    """A run of the tiny pipeline with the first `stages` stages finished."""
    run = create_run(pipeline, base, home)
    paired = {
        "top1": Metric(value=-0.5, unit="points", low=-1.6, high=0.6, level=0.95, n=200, how="same images"),
        "latency_ms": Metric(value=0.66, low=0.6, high=0.72, level=0.95, n=30, how="alternating blocks"),
    }
    worse = {"top1": Metric(value=-4.0, unit="points", low=-5.0, high=-3.0, level=0.95, n=200)}
    reports = [
        report("fp32", "FP32", "train", artefact("fp32", 80.0, 1.0, 4.0), ("Trained in float32.",)),
        report(
            "pruned",
            "Pruned",
            "prune-channels",
            artefact("pruned", 79.5, 0.66, 2.0, **paired),
            ("Half of the channels removed.",),
        ),
        report("taught", "Taught", "distil", artefact("taught", 76.0, 0.66, 2.0, **worse)),
    ]
    for one in reports[:stages]:
        run.stage_folder(one.key).path.mkdir(parents=True, exist_ok=True)
        run.write_report(one)
    run.update_info(status="completed" if stages == 3 else "stopped")
    return run
