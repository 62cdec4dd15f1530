"""A run's files measured once more, without training: where the machine was busy, or the protocol has become better.

The new figures take the place of the ones before, in the stages' reports, the run's report and the index. Figures of two
machines are not mixed in one run: on another machine, or with another ONNX Runtime, all its files are measured or none.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from core.analysis.interval_support import uncertain
from core.common.command_lines import command_line
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.deploy.artefact_record import ArtefactRecord
from core.engine.measuring import Figures, Measuring
from core.engine.results import write_run_report
from core.machine.fingerprint import fingerprint, timing_conditions
from core.machine.jobs import ProgressCallback
from core.profiling.latency import forward
from core.records.events import Event, Note, PhaseStarted
from core.records.reports import Artefact, MeasuredWith, StageReport
from core.runs.cache import Measurements
from core.runs.finding import called
from core.runs.home import Home
from core.runs.index import index_run
from core.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class MeasuredAgain:
    """What came of it.

    Attributes:
        reports: with their new figures.
        busy: labels of the files that the machine was too busy for.
    """

    reports: list[StageReport]
    busy: list[str]


def measure_again(
    run: RunFolder,
    home: Home,
    keys: Collection[str] = (),
    control: RunControl | None = None,
    tell: ProgressCallback = lambda fraction, text: None,
) -> MeasuredAgain:
    """Measure the files of finished stages again and put the figures into the run.

    Args:
        keys: of the stages; all of them unless given.

    Raises:
        EspalierError: the run goes on, its files are gone, or it was measured elsewhere and only a part is asked for.
        Stopped: a person asked to stop; stages that were measured by then have their new figures.
    """
    with run.locked():
        reports = run.reports() if not keys else [run.finished_report(key) for key in keys]
        if not reports:
            raise EspalierError(f"{run.name} has no finished stage yet.", "Run it first.")
        elsewhere = _elsewhere(run, home, whole=len(reports) == len(run.reports()))
        job, busy = _Job(run, home, control or RunControl(), forward(tell)), list[str]()
        for number, report in enumerate(reports):
            busy += job.measure(report, number / len(reports), 1 / len(reports))
            if not elsewhere:
                run.write_report(report)
        if elsewhere:
            run.update_info(machine=fingerprint())
            for report in reports:
                run.write_report(report)
        if run.markdown_report.is_file():
            write_run_report(run)
        if run.folder.resolve().is_relative_to(home.runs.resolve()):
            index_run(home, run)
    tell(1.0, "Measured")
    return MeasuredAgain(reports, busy)


def _elsewhere(run: RunFolder, home: Home, whole: bool) -> bool:
    """Whether the run's figures are another machine's.

    Raises:
        EspalierError: they are, and not all of them are measured.
    """
    then, now = run.info.machine, fingerprint()
    if not then or timing_conditions(then) == timing_conditions(now):
        return False
    if whole:
        return True
    runtimes = [(machine.get("versions") or {}).get("onnxruntime") for machine in (then, now)]
    raise EspalierError(
        f"This run was measured on {then.get('processor')} with ONNX Runtime {runtimes[0]}, this machine is "
        f"{now['processor']} with {runtimes[1]}: figures of two machines are not mixed in one run.",
        "Measure all of it here.",
        command=command_line("profile", called(run, home)),
    )


class _Job:
    """One run on its way."""

    def __init__(self, run: RunFolder, home: Home, control: RunControl, tell: ProgressCallback):
        self._run, self._control, self._tell = run, control, tell
        self._make = partial(Measuring, run, run.pipeline, Measurements(home.cache / "measurements"), control)
        self._start = self._share = 0.0
        self._text = ""

    def measure(self, report: StageReport, start: float, share: float) -> list[str]:
        """Give a report its new figures; the labels of the files that keep theirs, because the machine is too busy."""
        busy, folder = [], self._run.stage_folder(report.key).artefacts
        try:
            files = ArtefactRecord.read(folder)
        except OSError as error:
            raise EspalierError(
                f"The files of {report.name} are not in the run any more.",
                "Run the pipeline again; its stages come from the cache.",
                str(error),
            ) from error
        measuring = None
        for number, (artefact, file) in enumerate(zip(report.artefacts, files.artefacts, strict=True)):
            self._control.checkpoint()
            self._start, self._share = (
                start + share * number / len(files.artefacts),
                share / len(files.artefacts),
            )
            self._text = f"Measuring {report.name}, {artefact.label}"
            measuring = self._make(self._heard, _how(artefact), again=True)
            figures, _ = measuring.figures(report.key, file, measuring.baseline(report, files), self._moved)
            if uncertain("latency_ms", figures.metrics["latency_ms"]) and not uncertain(
                "latency_ms", artefact.metrics.get("latency_ms")
            ):
                busy.append(f"{report.name}, {artefact.label}")
                if _same_protocol(artefact, figures):
                    continue  # what it has is better
            _take(artefact, figures)
        if measuring is not None:
            measuring.compare(report)
            measuring.explain(report, files.artefacts[0])
        return busy

    def _moved(self, fraction: float) -> None:
        self._tell(self._start + self._share * fraction, self._text)

    def _heard(self, event: Event) -> None:
        match event:
            case Note(text=text) | PhaseStarted(text=text):
                self._tell(self._start, text)


def _how(artefact: Artefact) -> MeasuredWith:
    """How a file was measured; of one by a version that did not write that down, as far as its figures say."""
    if artefact.measured.protocol:
        return artefact.measured
    power = artefact.metrics.get("power_w")
    stated = power is not None and power.how.startswith("stated")
    return MeasuredWith(core_watts=power.value if power is not None and stated else None)


def _same_protocol(artefact: Artefact, figures: Figures) -> bool:
    return artefact.measured.protocol == figures.measured.protocol


def _take(artefact: Artefact, figures: Figures) -> None:
    """Put new figures in the place of those before; what was not timed stays."""
    artefact.metrics |= figures.metrics
    if artefact.change:
        artefact.change |= figures.change
    artefact.measured = figures.measured
