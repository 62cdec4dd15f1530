"""Which two models are tried: stages of any runs, or ONNX files from anywhere."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.runs.home import Home
from core.runs.run_folder import RunFolder
from core.runs.stage_files import StageFile, final, find, runs_to_inspect
from gui.base.messages import Messages
from gui.inspect.picker import SubjectPicker
from gui.inspect.run_files import RunFiles
from gui.tryout.work import ModelFile

Chosen = tuple[ModelFile | None, ModelFile | None]


class ModelChooser(QObject):
    """Fills the two pickers and keeps what was chosen in them.

    Signals:
        changed: other models are chosen.
    """

    changed = Signal()

    def __init__(self, pickers: Sequence[SubjectPicker], home: Home, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._pickers, self._home = pickers, home
        self.models: Chosen = (None, None)
        self._shelf = RunFiles(messages)
        self._following: RunFolder | None = None
        self._followed = Path()
        for number, picker in enumerate(pickers):
            picker.run_chosen.connect(partial(self._choose_run, number))
            picker.chosen.connect(partial(self._choose_subject, number))

    @property
    def places(self) -> tuple[int | None, int | None]:
        """Where each model's answer stands in a trial."""
        first = 0 if self.models[0] is not None else None
        return first, (0 if first is None else 1) if self.models[1] is not None else None

    @property
    def files(self) -> list[Path]:
        """The chosen models' files, in the order of a trial's answers."""
        return [model.file for model in self.models if model is not None]

    def show_run(self, run: RunFolder) -> None:
        """Another run is shown in the window; `refresh` offers its models."""
        self._shelf.forget(run.folder)
        self._following = run

    def refresh(self) -> None:
        """Take the baseline and the result of a run that the window shows since; offer what there is."""
        run, self._following = self._following, None
        if run is not None and (run.folder != self._followed or None in self.models):
            self._followed = run.folder
            subjects = self._shelf.of(run.folder)
            result = final(subjects)
            if result is not None:
                baseline = find(subjects, result.pipeline.baseline_of(result.report.id)) or subjects[0]
                models = [ModelFile.of(artefact) for artefact in dict.fromkeys((baseline, result))]
                self._choose(models[0], models[1] if len(models) > 1 else None)
                return
        self._offer()

    def choose_file(self, number: int, file: Path) -> None:
        """Take an ONNX file as the baseline (0) or the compressed model (1)."""
        self._replace(number, ModelFile(file.name, file))

    def go_back(self, models: Chosen) -> None:
        """Take the models that were chosen before, where those of now cannot be used; `changed` is not emitted."""
        self.models = models
        self._offer()

    def swap(self) -> None:
        """The two models change places."""
        self._choose(self.models[1], self.models[0])

    def _choose_run(self, number: int, folder: Any) -> None:
        chosen = final(self._shelf.of(Path(folder))) if Path(folder).is_dir() else None
        if chosen is not None:
            self._replace(number, ModelFile.of(chosen))
        else:
            self._offer()

    def _choose_subject(self, number: int, chosen: StageFile | None) -> None:
        self._replace(number, ModelFile.of(chosen) if chosen is not None else None)

    def _replace(self, number: int, model: ModelFile | None) -> None:
        first, second = self.models
        self._choose(model if number == 0 else first, model if number == 1 else second)

    def _choose(self, first: ModelFile | None, second: ModelFile | None) -> None:
        self.models = (first, second)
        self._offer()
        self.changed.emit()

    def _offer(self) -> None:
        """What can be chosen."""
        entries = runs_to_inspect(self._home)
        for picker, model in zip(self._pickers, self.models, strict=True):
            subject = model.subject if model is not None else None
            shown = subject.folder if subject is not None else model.file if model is not None else None
            if shown is None:  # nothing chosen: offer the other model's run
                first = next((each.subject for each in self.models if each and each.subject), None)
                shown = first.folder if first is not None else None
            name = subject.pipeline.name if subject is not None else model.title if model is not None else ""
            picker.show_runs(entries, shown, name)
            picker.show_subjects(
                self._shelf.of(shown) if shown is not None and shown.is_dir() else [], subject
            )
