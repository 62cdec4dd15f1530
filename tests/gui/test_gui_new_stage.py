"""A stage that a test adds is in the palette, on a card and in a form, with nothing else edited."""

from typing import Any

import pytest

from core.common.params import Params, param
from core.document import pipeline as documents
from core.stages.base import ModelStage
from core.stages.catalogue import STAGES
from core.stages.context import StageContext
from core.stages.result import StageResult
from gui.base.theme import Theme, icon
from gui.editor.cards import cards
from gui.editor.palette import entries
from gui.widgets.form import Form


class IdleParams(Params):
    often: int = param(3, "Often", "How often nothing happens.", ge=1, le=9, step=1)


class Idle(ModelStage[IdleParams]):
    id = "idle"
    title = "Do nothing"
    group = "Rest"
    help = "Leaves the network as it is."
    Settings = IdleParams

    def run(self, model: Any, settings: IdleParams, context: StageContext) -> StageResult:
        return StageResult(model)


def test_a_new_stage_is_offered_and_shown(qtbot: Any, theme: Theme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAGES, Idle.id, Idle())
    found = [(entry.key, entry.title, entry.icon) for entry in entries()]
    assert ("stage:idle", "Do nothing", "stage") in found and ("", "Rest", "") in found
    assert not icon(Idle.icon).isNull()
    form = Form(Idle.Settings)
    qtbot.addWidget(form)
    assert list(form.rows) == ["often"]
    pipeline = documents.loads(
        "espalier: 1\nname: One\nsources: [{id: net}]\nstages: [{id: idle, kind: idle, name: Idle, settings: {often: 5}}]\n"
    )
    card = cards(pipeline, [])[0][-1]
    assert (card.title, card.icon, card.enabled) == ("Idle", "stage", True) and "5" in card.summary
