"""Which of a run's actions can be used, and what they are called: from the state alone."""

from gui.base.actions import Actions
from gui.base.document import Document
from gui.base.translation import tr
from gui.runs.run_session import Session


def show_run_state(a: Actions, session: Session, document: Document) -> None:
    """Enable, name and explain the actions that check, start and control a run."""
    steered, problems = session.steered, document.problems
    resumable = session.resumable(document.text) is not None
    a.run.setProperty("secondary", steered != "idle")  # before its text, which tells buttons
    a.run.setEnabled(not problems)
    a.run.setText(tr("Queue &run") if steered != "idle" else tr("Run &anew") if resumable else tr("&Run"))
    reason = tr("First solve: {problem}", problem=problems[0].message) if problems else ""
    if steered != "idle" and not problems:
        reason = tr("A run is going on; let this pipeline wait for its turn")
    a.run.setToolTip(reason or tr("Train, compress, export and measure every stage"))
    a.check.setEnabled(bool(problems) or steered == "idle")
    a.resume_run.setVisible(resumable)
    a.resume_run.setEnabled(resumable and not problems)
    for action in (a.pause, a.finish, a.stop):
        action.setVisible(steered != "idle")
        action.setEnabled(steered in ("running", "paused"))
    a.finish.setEnabled(steered == "running" and session.state.training and not session.finishing)
    a.finish.setText(tr("Finishing …") if session.finishing else tr("&Finish this stage"))
    _show_paused(a, steered == "paused")


def _show_paused(a: Actions, paused: bool) -> None:
    if a.pause.property("paused") != paused:
        a.pause.setProperty("paused", paused)
        a.pause.setText(tr("&Resume") if paused else tr("&Pause"))
        a.pause.setToolTip(tr("Go on with the run") if paused else tr("Hold the run where it is"))
        a.retheme(paused)
