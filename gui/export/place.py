"""What is exported, in which format and to where; reading and exporting on workers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

import core.export.export as exporting
from core.analysis.rows import Row
from core.common.control import RunControl
from core.common.paths import resolved
from core.export.export import FORMATS, ExportResult, ExportSettings, ExportWatch
from core.records.reports import Artefact, StageReport
from core.runs.run_folder import RunFolder
from gui.base.actions import Actions
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Failure, Worker
from gui.export.view import ExportView
from gui.runs.run_results import Results

Say = Callable[[Any], None]
_KEEPS_CARD = QT_TR_NOOP("The model card stands here once the export has ended.")


@dataclass(frozen=True, slots=True)
class RunResults:
    """What the run says of a file before it is exported."""

    rungs: list[Any]
    card: str


class ExportPlace(QObject):
    """Owns the view and the workers behind it.

    Signals:
        status_message: a sentence for the status bar.
    """

    status_message = Signal(str)

    def __init__(self, actions: Actions, messages: Messages, parent: QObject):
        super().__init__(parent)
        self.view = ExportView(actions.open_run, actions.run)
        self._messages = messages
        self.results: Results | None = None
        self.settings = ExportSettings()
        self.result: ExportResult | None = None
        self._folder, self._own_name, self._own_row, self._filling = Path.home(), "", False, False
        self._busy, self._fraction, self._watch = "", 0.0, ExportWatch()
        self.exporter, self.reader = Worker(self), LatestJob(self)
        self._connect()
        self.view.show_settings(self.settings)
        self.show_results(None)

    def _connect(self) -> None:
        view = self.view
        view.row_chosen.connect(self._row_chosen)
        view.settings_edited.connect(self._edited)
        view.target_typed.connect(self._target_typed)
        view.target.textChanged.connect(lambda _text: self._update())
        view.export_wanted.connect(self._export)
        view.stop_wanted.connect(self.exporter.stop)
        view.skip_wanted.connect(self._skip)
        self.exporter.happened.connect(lambda batch: self._moved(*batch[-1]))
        self.exporter.completed.connect(self._exported)
        self.exporter.stopped.connect(self._stopped)
        self.exporter.failed.connect(self._failed)
        self.reader.done.connect(self._read)
        self.reader.failed.connect(self._not_read)

    def retheme(self) -> None:
        self.view.retheme()

    # choosing

    def show_results(self, results: Results | None) -> None:
        """Offer the files of a run; a person's choice stays while it is the same run."""
        before, chosen = self.results, self.view.chosen()
        self.results = results
        same = before is not None and results is not None and before.run.folder == results.run.folder
        if not same:
            self._own_name, self._own_row = "", False
            self._forget_result()
        rows = [row for row in (results.rows if results else []) if row.artefact is not None]
        self._filling = True
        self.view.show_rows(rows, results)
        labels = [row.label for row in rows]
        if rows:
            keep = self._own_row and chosen is not None and chosen.label in labels
            self.view.table.selectRow(labels.index(chosen.label) if keep and chosen else self._final(rows))
        self._filling = False
        self._update()

    def _final(self, rows: list[Row]) -> int:
        """The row of the pipeline's result; the last one where that is not there yet."""
        assert self.results is not None
        finals = [
            number
            for number, row in enumerate(rows)
            if row.report is not None
            and row.artefact is not None
            and row.report.id == self.results.pipeline.final_id
            and row.artefact.id == row.report.headline
        ]
        return finals[0] if finals else len(rows) - 1

    def _chosen(self) -> tuple[RunFolder, StageReport, Artefact] | None:
        """The run, stage and file of the row that is chosen; None where there is none."""
        row = self.view.chosen()
        if self.results is None or row is None or row.report is None or row.artefact is None:
            return None
        return self.results.run, row.report, row.artefact

    def _row_chosen(self) -> None:
        self._own_row = self._own_row or not self._filling
        self._forget_result()
        self._suggest()
        if (chosen := self._chosen()) is not None:
            run, report, artefact = chosen
            self.view.show_rungs([], "", pending=False)
            job = partial(read_known, run, report.key, artefact.id)
            self.reader.ask(self._request(), tr("reading the verification"), job)
            self.view.offer_formats(self._possible())
            self.view.show_settings(self.settings)
        self._update()

    def _read(self, request: Any, results: RunResults) -> None:
        if request == self._request() and self.result is None:
            self.view.show_rungs(results.rungs, results.card, pending=True)

    def _not_read(self, _request: Any, failure: Failure) -> None:
        self.view.show_rungs([], f"{failure.message}\n\n{failure.advice}", pending=False)

    def _request(self) -> tuple[Path, str, str] | None:
        chosen = self._chosen()
        return (chosen[0].folder, chosen[1].key, chosen[2].id) if chosen else None

    def _edited(self, where: tuple[str, ...], value: Any, back: bool) -> None:
        plain = self.settings.model_dump(mode="json")
        plain[where[0]] = ExportSettings.model_fields[where[0]].default if back else value
        self.settings = ExportSettings.parse(plain)
        self.view.show_settings(self.settings)
        self._forget_result()
        self._suggest()
        self._update()

    def _suggest(self) -> None:
        """A name that fits the file and the format, in the folder that was last used."""
        chosen = self._chosen()
        if chosen is None:
            return
        _, report, artefact = chosen
        suggested = exporting.suggested_name(report, artefact, self.settings)
        suffix = FORMATS[self.settings.format].suffix
        typed = Path(self._own_name)
        name = typed.name.removesuffix(typed.suffix) + suffix if self._own_name else suggested
        self.view.show_target(str(self._folder / name))

    def _target_typed(self, text: str) -> None:
        target = resolved(text.strip(), Path())
        self._folder, self._own_name = target.parent, target.name

    def _forget_result(self) -> None:
        if self.result is not None:
            self.result = None
            self.view.ladder.show_rungs(self.view.ladder.rungs[:-1], pending=True)
        self.view.verdict.clear()

    # exporting

    def _export(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            return
        self._forget_result()
        (run, report, artefact), settings = chosen, self.settings
        target = resolved(self.view.target.text().strip(), Path())

        def job(control: RunControl, say: Say) -> ExportResult:
            def moved(part: float, words: str) -> None:
                say((part, words))

            self._watch = watch = ExportWatch(control, moved)
            return exporting.export_stage(run, report.key, artefact.id, target, settings, watch)

        if not self.exporter.running:
            self._moved(0.0, tr("Writing the file"))
            self.exporter.start(tr("the export"), job)

    def _moved(self, fraction: float, words: str) -> None:
        self._fraction, self._busy = fraction, words or tr("Exporting")
        self._update()

    def _skip(self) -> None:
        """Write the file without measuring it."""
        self._watch.skip_measuring()
        self._update()

    def _exported(self, result: ExportResult) -> None:
        self._busy, self.result = "", result
        self.view.verdict.show_result(result)
        self.view.show_rungs(result.ladder, result.card or tr(_KEEPS_CARD), pending=False)
        self.view.tabs.setCurrentIndex(0)
        self._update()
        self.status_message.emit(tr("Exported to {path}.", path=result.path))

    def _stopped(self) -> None:
        self._busy = ""
        self._update()
        self.status_message.emit(tr("The export was stopped; nothing was written."))

    def _failed(self, failure: Failure) -> None:
        self._busy = ""
        self._update()
        self._messages.failure(failure)

    # what is shown

    def _update(self) -> None:
        """Enabled or not, from the state alone."""
        against = "" if self._busy else self._against()
        measuring = self._watch.measuring and not self._watch.skipped
        self.view.show_state(against, self._missing(), self._busy, self._fraction, measuring)

    def _against(self) -> str:
        """Why the chosen format cannot hold the chosen file, and which can."""
        reason = self._reason(self.settings)
        possible = ", ".join(FORMATS[name].title for name in self._possible())
        return (
            tr("{reason} This file can leave as: {possible}.", reason=reason, possible=possible)
            if reason and possible
            else reason
        )

    def _possible(self) -> list[str]:
        """The formats that can hold the chosen file."""
        plain = ExportSettings().model_dump(mode="json")
        return [name for name in FORMATS if not self._reason(ExportSettings.parse({**plain, "format": name}))]

    def _reason(self, settings: ExportSettings) -> str:
        chosen = self._chosen()
        return exporting.reason_against(*chosen, settings) if chosen else ""

    def _missing(self) -> str:
        if self.view.chosen() is None:
            return tr("Choose a file in the table first.")
        written, form = self.view.target.text().strip(), FORMATS[self.settings.format]
        target = resolved(written, Path())
        if not written or not target.name:
            return tr("Choose where the file goes.")
        if not target.parent.is_dir():
            return tr("This folder does not exist; choose another one.")
        if form.suffix:
            return (
                ""
                if target.suffix == form.suffix
                else tr("The file's name has to end with {suffix}.", suffix=form.suffix)
            )
        return (
            tr("{name} is a file; this format writes a folder.", name=target.name) if target.is_file() else ""
        )


def read_known(run: RunFolder, key: str, artefact: str, _control: RunControl, _say: Say) -> RunResults:
    """The ladder and the model card, from what the run holds."""
    return RunResults(exporting.ladder_of(run, key, artefact), exporting.model_card(run, key, artefact))
