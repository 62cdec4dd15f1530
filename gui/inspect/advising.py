"""Trials of calibrations, whose advice is sent into the open pipeline."""

from functools import partial
from typing import Any

from core.deploy.quantization.advice import Advice, Question
from core.document import overrides
from core.document.pipeline import Pipeline
from core.runs.stage_files import StageFile
from gui.base.translation import QT_TR_NOOP, tr
from gui.base.worker import Job
from gui.inspect import work
from gui.inspect.page_job import PageJob


class Advising(PageJob[Advice]):
    """The job behind the `CalibrationPage`."""

    TITLE = QT_TR_NOOP("trying calibrations")
    EDIT = QT_TR_NOOP("Take the advice on calibration")

    def _work(self, model: StageFile, request: Question) -> Job:
        return partial(work.advice, model, request, self._home)

    def _found(self, result: Advice) -> str:
        return result.sentence

    def _stage(self, model: StageFile) -> str:
        return model.float_stage

    def _written(
        self, target: overrides.Target, what: dict[str, Any], after: str, result: Advice
    ) -> tuple[Pipeline, str]:
        return overrides.with_settings(self._document.pipeline, target, what, after)

    def _sent(self, title: str, what: dict[str, Any]) -> str:
        return tr(
            "'{title}' calibrates by {method} on {images} images now; Undo takes it back.",
            title=title,
            **what,
        )
