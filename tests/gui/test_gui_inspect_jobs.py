"""What all pages of the Inspector do whose job a person starts."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from inspecting import done
from PySide6.QtCore import Qt

from core.common.errors import EspalierError
from core.deploy.quantization.advice import Advice, Trial
from core.machine.answer_so_far import Extent
from gui.base.document import Document
from gui.inspect import work
from gui.inspect.job_page import JobPage
from gui.inspect.page_job import PageJob
from gui.inspect.place import InspectPlace
from gui.inspect.work import PruneScan, QuantizeScan, ScanRequest

SCAN = QuantizeScan(
    ScanRequest("quantize", "", 2.0), [("body.conv1", 4.0), ("head", 9.0)], {}, "sqnr", "dB", 64
)
ADVICE = Advice("entropy", 128, (Trial("entropy", 128, (28.0, 28.2), (98.0, 98.0)),), 64)
PAGES = (("sensitivity", "scanning", SCAN), ("calibration", "advising", ADVICE))


@pytest.fixture(params=PAGES, ids=[tab for tab, *_ in PAGES])
def parts(request: Any, place: InspectPlace, opened: Path) -> tuple[JobPage[Any], PageJob[Any], Any]:
    """A page on FP32, its job, and a result."""
    tab, job, result = request.param
    place.view.go(tab)
    place.open(opened, "fp32")
    return getattr(place.view, tab), getattr(place, job), result


def waits(control: Any, _say: Callable[[Any], None]) -> None:
    """A job that goes on until it is stopped."""
    while True:
        control.checkpoint()
        time.sleep(0.005)


def test_nothing_starts_while_a_run_goes_on(
    qtbot: Any, place: InspectPlace, parts: tuple[JobPage[Any], PageJob[Any], Any]
) -> None:
    page, job, _ = parts
    usual = page.start.toolTip()
    place.set_running(True)
    assert not page.start.isEnabled() and "A run is going on" in page.start.toolTip()
    page.wanted.emit(page._request())
    assert not job.job.busy
    place.set_running(False)
    assert page.start.isEnabled() and page.start.toolTip() == usual


@pytest.mark.slow
def test_a_job_can_be_stopped(
    qtbot: Any, place: InspectPlace, parts: tuple[JobPage[Any], PageJob[Any], Any]
) -> None:
    page, _, _ = parts
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    assert not page.start.isEnabled()
    qtbot.waitUntil(lambda: page.working.isVisible(), timeout=30_000)
    started = time.monotonic()
    qtbot.mouseClick(page.working.stop, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert time.monotonic() - started < 10
    assert page.result is None or not page.result.extent.whole
    assert page.start.isEnabled() and not page.working.isVisible()


def test_what_was_finished_is_shown_when_a_job_is_stopped(
    qtbot: Any, place: InspectPlace, opened: Path, monkeypatch: Any
) -> None:
    """Half an hour of draws was thrown away by Cancel."""
    place.view.go("calibration")
    place.open(opened, "fp32")
    page = place.view.calibration
    told: list[str] = []
    place.status_message.connect(told.append)
    some = replace(ADVICE, method="", images=None, extent=Extent(2, 36), left=("entropy",))

    def advise(_job: Any, _arguments: Any, control: Any, _say: Any) -> dict[str, Any]:
        while not control.stopping:
            time.sleep(0.005)
        return asdict(some)

    monkeypatch.setattr(work, "_in_child_so_far", advise)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(page.working.isVisible, timeout=5000)
    qtbot.mouseClick(page.working.stop, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert page.result == some and page.table.isVisible() and page.table.texts(2) == ["28.10 dB"]
    assert page.sentence.text().startswith("Stopped after 2 of 36 draws.") and told == [page.sentence.text()]
    assert not page.sending.isVisible(), "nothing is advised yet"


def test_what_a_stopped_job_found_does_not_replace_the_whole(
    qtbot: Any, place: InspectPlace, parts: tuple[JobPage[Any], PageJob[Any], Any]
) -> None:
    page, job, result = parts
    some, more = (replace(result, extent=Extent(number, 9)) for number in (3, 4))
    for found, shown in ((some, some), (more, more), (result, result), (some, result)):
        with qtbot.waitSignal(job.status_message):
            job.job.done.emit(("result", place.model), found)
        assert page.result is shown


def test_a_part_of_a_scan_is_said_to_be_one(place: InspectPlace, opened: Path) -> None:
    place.view.go("sensitivity")
    place.open(opened, "fp32")
    page = place.view.sensitivity
    page.show_result(replace(SCAN, extent=Extent(2, 20)))
    assert page.words.whole.startswith("Stopped after 2 of 20 layers.")
    assert page.table.texts(0) == ["body.conv1", "head"]
    assert not page.sending.isVisible(), "the most sensitive layers are not known yet"
    page.show_result(PruneScan(ScanRequest("prune", "", 2.0), [], 90.0, 64, 0, Extent(2, 20)))
    assert page.words.whole.startswith("Stopped after 2 of 20 layers.") and page.sending.isVisible()


def test_a_job_that_was_stopped_too_early_says_so(qtbot: Any, parts: Any, monkeypatch: Any) -> None:
    page, job, _ = parts
    monkeypatch.setattr(job, "_work", lambda _model, _request: waits)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(job.status_message, timeout=5000) as told:
        job.job.stop()
    assert told.args == ["Stopped before anything was finished."]
    assert page.result is None and page.empty.isVisible()


def test_while_it_works_it_can_be_stopped_from_another_model(
    qtbot: Any, place: InspectPlace, opened: Path, parts: Any, monkeypatch: Any
) -> None:
    page, job, _ = parts
    monkeypatch.setattr(job, "_work", lambda _model, _request: waits)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    assert not page.start.isEnabled() and not any(part.isEnabled() for part in page._settings)
    qtbot.waitUntil(lambda: page.working.isVisible(), timeout=5000)
    place.open(opened, "pruned")
    assert page.working.isVisible() and not page.start.isEnabled()
    qtbot.mouseClick(page.working.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not job.job.busy, timeout=5000)
    assert page.start.isEnabled() and all(part.isEnabled() for part in page._settings)
    assert not page.working.isVisible()


def test_a_result_belongs_to_its_model_and_is_kept(
    qtbot: Any, place: InspectPlace, opened: Path, parts: Any
) -> None:
    page, job, result = parts
    model = place.model
    place.open(opened, "pruned")
    with qtbot.waitSignal(job.status_message) as told:
        job.job.done.emit(("result", model), result)
    assert told.args == [job._found(result)]
    assert page.result is None and page.empty.isVisible() and not page.sending.isVisible()
    place.open(opened, "fp32")
    assert page.result is result and page.table.isVisible() and page.sending.send.isEnabled()


def test_a_result_is_sent_as_one_edit(qtbot: Any, place: InspectPlace, parts: Any) -> None:
    page, job, result = parts
    document: Document = place.view.window().document  # type: ignore[attr-defined]
    before = document.text
    assert not page.sending.send.isEnabled(), "there is nothing to send"
    job.job.done.emit(("result", place.model), result)
    with qtbot.waitSignals([place.edited, place.status_message]):
        qtbot.mouseClick(page.sending.send, Qt.MouseButton.LeftButton)
    assert document.text != before
    document.undo_stack.undo()
    assert document.text == before


def test_a_failure_is_said_and_the_page_is_free_again(
    qtbot: Any, place: InspectPlace, parts: Any, monkeypatch: Any
) -> None:
    page, job, _ = parts

    def fails(_control: Any, _say: Callable[[Any], None]) -> None:
        raise EspalierError("It did not work.")

    monkeypatch.setattr(job, "_work", lambda _model, _request: fails)
    qtbot.mouseClick(page.start, Qt.MouseButton.LeftButton)
    done(qtbot, place)
    assert "It did not work." in str(place.view.window().told.said)  # type: ignore[attr-defined]
    assert page.result is None and page.start.isEnabled() and not page.working.isVisible()


def test_the_keyboard_is_on_cancel_while_a_job_works_and_then_back(
    qtbot: Any, place: InspectPlace, parts: Any, monkeypatch: Any
) -> None:
    """The button that was pressed is disabled, and Qt passed the focus on to the rail."""
    page, job, _ = parts
    monkeypatch.setattr(job, "_work", lambda _model, _request: waits)
    window = page.window()
    page.start.setFocus()
    qtbot.keyClick(page.start, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.focusWidget() is None, timeout=1000)
    qtbot.waitUntil(page.working.isVisible, timeout=5000)
    assert window.focusWidget() is page.working.stop
    qtbot.keyClick(page.working.stop, Qt.Key.Key_Space)
    done(qtbot, place)
    qtbot.waitUntil(lambda: window.focusWidget() is page.start, timeout=1000)


def test_the_keyboard_stays_where_a_person_went_while_a_job_worked(qtbot: Any, parts: Any) -> None:
    page, _, _ = parts
    page.start.setFocus()
    page.show_busy("Working")
    qtbot.wait(20)
    page.words.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    page.words.setFocus()
    qtbot.waitUntil(page.working.isVisible, timeout=5000)
    assert page.window().focusWidget() is page.words
    page.show_busy("")
    assert page.window().focusWidget() is page.words
