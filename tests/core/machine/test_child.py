"""Real processes, really killed: every test here starts one."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest

import core
from core.common.control import RunControl
from core.common.errors import EspalierError, Stopped
from core.machine import child_watch
from core.machine.child import Child, child_command, is_child
from core.machine.processes import CHILD_FLAG, environment

JOBS = Path(__file__).parent / "child_jobs"


def load_trial_jobs() -> ModuleType:
    """The jobs for these tests, called as the child knows them; `core` itself stays as it is here."""
    spec = importlib.util.spec_from_file_location("core.trial_jobs", JOBS / "trial_jobs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trial_jobs = load_trial_jobs()
ROOT = Path(core.__file__).parents[1]


def make(kind="measure", log=None, **extra) -> Child:
    return Child(kind, log, env={"PYTHONPATH": str(JOBS)}, **extra)


@pytest.fixture
def child() -> Iterator[Child]:
    before = set(threading.enumerate())
    with make() as started:
        yield started
    assert set(threading.enumerate()) <= before
    assert started.pid is None


def gone(pid: int, seconds: float = 2.0) -> bool:
    """Whether the process ends within `seconds`; a zombie that init has not reaped counts as gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def call(child: Child, job: str, **arguments):
    return child.call(getattr(trial_jobs, job), arguments)


def test_a_job_gets_its_arguments_and_tells_its_progress(child):
    reports = []
    answer = child.call(
        trial_jobs.echo, {"a": [1, "ä", None]}, on_progress=lambda *each: reports.append(each)
    )
    assert answer["arguments"] == {"a": [1, "ä", None]}
    assert answer["pid"] != os.getpid()
    assert reports == [(0.25, "a quarter"), (1.0, "all")]


def test_one_process_serves_call_after_call(child):
    assert call(child, "echo")["pid"] == call(child, "echo")["pid"] == child.pid


def test_what_libraries_print_goes_to_the_log(tmp_path):
    log = tmp_path / "logs" / "child.log"
    with make(log=log) as child:
        assert call(child, "pollute") == {"stdin": ""}
        assert call(child, "echo")["arguments"] == {}
    text = log.read_text()
    for piece in ("forged", "straight to the descriptor", "from a grandchild", "to standard error"):
        assert piece in text


def test_a_temporary_log_is_removed(child):
    call(child, "echo")
    log = child._log
    assert log.exists()
    child.close()
    assert not log.parent.exists()


def test_an_expected_failure_travels_whole(child):
    with pytest.raises(EspalierError) as caught:
        call(child, "expected_failure")
    error = caught.value
    assert (error.message, error.advice, error.details) == (
        "Expected a pear, received a plum.",
        "Plant a pear.",
        "the roots",
    )
    assert call(child, "echo")["pid"] == child.pid


def test_an_unexpected_failure_brings_its_traceback(child):
    with pytest.raises(EspalierError, match=r"“unexpected failure” failed \(ZeroDivisionError") as caught:
        call(child, "unexpected_failure")
    assert "in unexpected_failure" in caught.value.details


def test_too_little_memory_has_its_own_advice(child):
    with pytest.raises(EspalierError, match="smaller batch"):
        call(child, "no_memory")


def test_arguments_that_are_no_plain_data_are_refused_here(child):
    pid = call(child, "echo")["pid"]
    with pytest.raises(TypeError, match="not JSON serializable"):
        call(child, "echo", thing=object())
    assert call(child, "echo")["pid"] == pid


def test_a_result_that_is_no_plain_data_is_an_error(child):
    with pytest.raises(EspalierError, match="not JSON serializable"):
        call(child, "not_plain")


def test_a_job_that_the_child_has_not_is_refused_there(child):
    def nothing(arguments, progress):
        return {}

    nothing.__module__, nothing.__qualname__ = "core.trial_jobs", "nothing"
    with pytest.raises(EspalierError, match="has no job 'nothing'"):
        child.call(nothing, {})


def test_what_is_no_job_is_refused_here(child):
    with pytest.raises(TypeError, match="Expected a public function"):
        child.call(os.getpid, {})
    with pytest.raises(TypeError, match="Expected a public function"):
        child.call(trial_jobs._hidden, {})


def test_a_native_crash_is_told_and_replaced(child):
    first = call(child, "echo")["pid"]
    with pytest.raises(EspalierError) as caught:
        call(child, "segfault")
    error = caught.value
    assert error.message == "The process that was at work on “segfault” ended unexpectedly (SIGSEGV)."
    assert "library crashed" in error.advice
    assert "just before the crash" in error.details and "in segfault" in error.details
    assert gone(first)
    assert call(child, "echo")["pid"] != first


def test_a_kill_hints_at_memory(child):
    with pytest.raises(EspalierError, match=r"\(SIGKILL\).*run out of memory"):
        call(child, "kill_self")
    assert call(child, "echo")["arguments"] == {}


def test_an_exit_code_is_told(child):
    with pytest.raises(EspalierError, match=r"\(exit code 3\)"):
        call(child, "exit_with", code=3)


def test_a_process_killed_between_calls_is_replaced(child):
    first = call(child, "echo")["pid"]
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert call(child, "echo")["pid"] != first


@pytest.mark.parametrize(("job", "arguments"), [("sleep", {"seconds": 60}), ("multiply", {})])
def test_stopping_kills_native_work_at_once(child, job, arguments):
    control, stopped_at = RunControl(), []

    def stop(fraction: float, text: str) -> None:
        def later() -> None:
            stopped_at.append(time.monotonic())
            control.stop()

        threading.Timer(0.2, later).start()

    pid = call(child, "echo")["pid"]
    with pytest.raises(Stopped):
        child.call(getattr(trial_jobs, job), arguments, control, stop)
    assert time.monotonic() - stopped_at[0] < 1.0
    assert gone(pid)
    assert call(child, "echo")["pid"] != pid


def test_a_job_sends_parts_and_ends_by_itself_within_the_patience(tmp_path):
    control, parts = RunControl(), []

    def take(part: dict[str, int]) -> None:
        parts.append(part["number"])
        if len(parts) == 5:
            control.stop()

    with make(patience=10) as child:
        pid = call(child, "echo")["pid"]
        with pytest.raises(Stopped):
            child.call(
                trial_jobs.count_until_stopped, {"file": str(tmp_path / "tidy")}, control, on_part=take
            )
        assert parts[:5] == list(range(5)) and (tmp_path / "tidy").is_file()
        assert call(child, "echo")["pid"] == pid, "the process is kept"


def test_a_job_that_does_not_end_within_the_patience_is_killed():
    control = RunControl()
    with make(patience=0.3) as child:
        pid = call(child, "echo")["pid"]
        with pytest.raises(Stopped):
            child.call(trial_jobs.sleep, {"seconds": 60}, control, lambda *_: control.stop())
        assert gone(pid)


def test_a_stop_asked_before_starts_nothing(child):
    control = RunControl()
    control.stop()
    with pytest.raises(Stopped):
        child.call(trial_jobs.echo, {}, control)
    assert child.pid is None


def test_a_stop_after_the_call_does_not_hit_the_next_one(child):
    control = RunControl()
    pid = child.call(trial_jobs.echo, {}, control)["pid"]
    control.stop()
    assert call(child, "echo")["pid"] == pid


def test_a_failing_progress_callback_ends_the_work(child):
    def fail(fraction: float, text: str) -> None:
        raise KeyError(text)

    with pytest.raises(KeyError, match="sleeping"):
        child.call(trial_jobs.sleep, {"seconds": 60}, on_progress=fail)
    assert call(child, "echo")["arguments"] == {}


def test_a_timeout_kills(child):
    with pytest.raises(EspalierError, match=r"at most 0\.4 seconds"):
        child.call(trial_jobs.sleep, {"seconds": 60}, timeout=0.4)
    assert call(child, "echo")["arguments"] == {}


@pytest.fixture
def told() -> Iterator[list[str]]:
    """The sentences about trouble with children."""
    heard: list[str] = []
    with child_watch.trouble_told_to(heard.append):
        yield heard


def limits(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Look often, and take other limits than those of hours and minutes."""
    for name, value in {"_LOOK_SECONDS": 0.02, **seconds}.items():
        monkeypatch.setattr(child_watch, name, value)


def test_a_suspended_process_is_told_and_replaced(child, told, monkeypatch):
    limits(monkeypatch, _SUSPENDED_SAID=0.05, SUSPENDED_SECONDS=0.3)

    def suspend(fraction: float, text: str) -> None:
        if not told:
            os.kill(child.pid, signal.SIGSTOP)

    first = call(child, "echo")["pid"]
    assert child.call(trial_jobs.sleep, {"seconds": 0.1}, on_progress=suspend) == {}
    assert gone(first) and child.pid != first
    assert told == [
        "The process that is at work on “sleep” is suspended; it is replaced unless it goes on within 0 seconds.",
        "The process that was at work on “sleep” was suspended and is replaced.",
    ]


def test_a_process_that_goes_on_in_time_is_left_alone(child, monkeypatch):
    limits(monkeypatch, _SUSPENDED_SAID=0.05)
    first = call(child, "echo")["pid"]
    with child_watch.trouble_told_to(lambda text: os.kill(first, signal.SIGCONT)):
        child.call(trial_jobs.sleep, {"seconds": 0.1}, on_progress=lambda *_: os.kill(first, signal.SIGSTOP))
    assert child.pid == first


def test_a_process_that_does_nothing_ends_in_a_sentence_the_second_time(child, told, monkeypatch):
    limits(monkeypatch, _IDLE_SAID=0.2, IDLE_SECONDS=0.6)
    with pytest.raises(EspalierError, match=r"“sleep” was idle for too long and was ended\."):
        child.call(trial_jobs.sleep, {"seconds": 60})
    assert [text.partition("“sleep” ")[2].partition(" ")[0] for text in told] == ["has", "was", "has"]
    assert call(child, "echo")["arguments"] == {}


def test_work_that_tells_nothing_has_a_limit_by_its_job(child, monkeypatch):
    limits(monkeypatch)
    monkeypatch.setattr("core.machine.child.silent_seconds", lambda name: 0.3)
    with pytest.raises(EspalierError, match=r"“multiply” was silent for too long"):
        child.call(trial_jobs.multiply, {})


def test_killing_takes_grandchildren_along(child):
    control, pids = RunControl(), []

    def stop(fraction: float, text: str) -> None:
        pids.append(int(text))
        control.stop()

    with pytest.raises(Stopped):
        child.call(trial_jobs.grandchild, {}, control, stop)
    assert gone(pids[0])


def test_calls_from_several_threads_wait_for_each_other(child):
    answers = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(call(child, "echo", n=n)["arguments"]["n"]))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(6))


def test_closing_gives_up_work_in_another_thread():
    child, outcome = make(), []

    def work() -> None:
        try:
            call(child, "sleep", seconds=60)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while child.pid is None:
        time.sleep(0.01)
    pid = child.pid
    child.close()
    thread.join(5)
    assert isinstance(outcome[0], Stopped) and gone(pid)
    with pytest.raises(RuntimeError, match="was closed"):
        call(child, "echo")
    child.close()


@pytest.mark.parametrize("busy", [False, True])
def test_the_child_ends_when_its_input_closes(busy):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(JOBS)])}
    process = subprocess.Popen(
        child_command("measure"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None and process.stdout is not None
    if busy:
        process.stdin.write(b'{"id": 1, "job": "core.trial_jobs:sleep", "arguments": {"seconds": 60}}\n')
        process.stdin.flush()
        assert b"taken" in process.stdout.readline()
        assert b"sleeping" in process.stdout.readline()
    process.stdin.close()
    assert process.wait(2) in (0, -signal.SIGKILL)
    process.stdout.close()


def test_the_child_ends_with_the_program_that_started_it(tmp_path):
    program = (
        "import os, signal\nfrom core.machine.child import Child\nfrom core.trial_jobs import echo\nfrom pathlib import Path\n"
        "child = Child('measure', Path('child.log')); child.call(echo, {}); print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(JOBS)])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, check=False
    )
    assert gone(int(done.stdout))


def test_the_measuring_kind_has_no_torch_and_refuses_it(child):
    assert call(child, "modules") == {"torch": False, "pydantic": False}
    assert call(child, "import_onnxruntime")["torch"] is False
    with pytest.raises(EspalierError, match="measuring process does not load torch"):
        call(child, "import_torch")
    child.call(trial_jobs.echo, {})
    import core.profiling.session as session

    with pytest.raises(
        EspalierError, match=r"Expected an ONNX file, but missing\.onnx cannot be read: No such"
    ):
        child.call(
            session.time_block,
            {"model": "missing.onnx", "sample": "none.npy", "threads": 1},
        )
    assert call(child, "modules") == {"torch": False, "pydantic": False}


def test_threads_reach_the_process():
    with make(threads=3) as child:
        names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]
        assert call(child, "environment", names=names) == dict.fromkeys(names, "3")


def test_a_frozen_program_starts_itself(monkeypatch):
    assert child_command("tool") == [sys.executable, "-m", "core.machine.child", "tool"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    for program, console in (
        ("/opt/espalier/espalier", "/opt/espalier/espalier"),
        ("/opt/espalier/espalier-window", "/opt/espalier/espalier"),
        ("/opt/espalier/espalier-window.exe", "/opt/espalier/espalier.exe"),
    ):
        monkeypatch.setattr(sys, "executable", program)
        command = child_command("tool")
        assert command == [console, CHILD_FLAG, "tool"]
    assert is_child(command) and not is_child(["espalier", "run", "tool"])


def test_a_frozen_program_hands_no_search_path_on(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "given")
    assert environment()["PYTHONPATH"] == f"{ROOT}{os.pathsep}given"
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert environment()["PYTHONPATH"] == "given"
