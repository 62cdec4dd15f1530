"""Claim: a home of 10 000 runs is usable: its index is made anew in a time proportional to the runs, at most 3 s for
1 000 of them and at most 11 times that for 10 000; the list of runs and the list to compare from open in under 2 s each,
and so does a comparison of 200 runs among them.

    python tests/benchmarks/many_runs.py [--quick]

Makes run folders of four stages each with the structure of real reports and the predictions on 200 test images. Times
are of the processor (elapsed in brackets), for other programs and the disk's state disturb those less. "List" is what
Start and `espalier runs` read; "comparison" is reading runs from the index and making the rows; "tables" is what the
window does with the lists, offscreen. "Figures" are what Start shows of each result: it reads those of the runs in view, and all where
they are sorted or searched by one. Before that everything was read once, which takes longer. Comparing all of them at once is not claimed: that
takes milliseconds a run.
`--quick`: 50 and 500 runs, which shows that it works and claims the proportion alone.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import numpy as np
from comparison_desk import CLASSES, report

from core.comparison.compared_runs import ComparedRun, read_all
from core.document.pipeline import Pipeline
from core.document.recipes import FIRST
from core.document.stage_keys import stage_keys
from core.runs.finding import find_runs
from core.runs.home import Home
from core.runs.index import index_run
from core.runs.library import list_runs, with_figures
from core.runs.new_run import create_run
from core.runs.open_document import open_document

IMAGES, PATTERNS = 200, 20
IN_VIEW = 40  # runs that Start shows at once, and those around them


def make_pattern(home: Home, pipeline: Pipeline, number: int, labels: np.ndarray) -> Path:
    """A run folder to be copied."""
    run = create_run(pipeline, Path.cwd(), home, home.folder / "patterns" / str(number))
    draw = np.random.default_rng(number)
    base = draw.random(IMAGES) < 0.88
    for place, (key, node) in enumerate(zip(stage_keys(pipeline), pipeline.active, strict=True)):
        right = base ^ (draw.random(IMAGES) < 0.02)
        guesses = np.where(right, labels, (labels + 1) % CLASSES)
        folder = run.stage_folder(key).artefacts.path
        folder.mkdir(parents=True)
        np.save(folder / "labels.npy", labels)
        np.save(folder / "float32.logits.npy", np.eye(CLASSES, dtype=np.float32)[guesses])
        run.write_report(report(key, node.title, node.kind, number * 10 + place, right, base))
    machine = {"processor": "a processor", "physical_cores": 2, "versions": {"onnxruntime": "1.31.1"}}
    run.update_info(status="completed", started=1.7e9 + number, machine=machine, device="cpu", seconds=60.0)
    return run.folder


def timed(what: str, work: Callable[[], object]) -> float:
    """Seconds of processor time that it takes, printed."""
    elapsed, processor = time.perf_counter(), time.process_time()
    work()
    processor = time.process_time() - processor
    print(f"{what:<44}{processor:8.2f} s  ({time.perf_counter() - elapsed:.2f})", flush=True)
    return processor


def rebuilt(home: Home) -> None:
    home.index.unlink(missing_ok=True)
    index_run(home, find_runs(home)[0])


def compared(home: Home, folders: list[Path]) -> list[ComparedRun]:
    runs = [run for run in read_all(home, folders) if isinstance(run, ComparedRun)]
    assert len(runs) == len(folders), "every run can be read"
    assert sum(len(run.rows()) for run in runs) >= len(runs)
    return runs


def tables(home: Home) -> None:
    """What the window's lists do with them."""
    from PySide6.QtWidgets import QWidget

    from gui.compare.reader import entries
    from gui.compare.run_picker import RunList
    from gui.start.run_table import RunTable

    table = RunTable()
    table.runs.show_lines(list_runs(home))
    parent = QWidget()
    listed = RunList(parent)
    listed.show_entries(entries(home))
    listed.show_ticked([])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    few = 50 if parser.parse_args().quick else 1000
    labels = np.random.default_rng(0).integers(0, CLASSES, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ESPALIER_HOME"] = folder
        home, pipeline = Home(Path(folder)), open_document(FIRST).pipeline
        patterns = [make_pattern(home, pipeline, number, labels) for number in range(PATTERNS)]
        times = {}
        for count in (few, 10 * few):
            for number in range(len(find_runs(home)), count):
                shutil.copytree(patterns[number % PATTERNS], home.runs / f"20260101-{number:06d}-quick-tour")
            times[count] = timed(f"index of {count} runs made anew", lambda: rebuilt(home))
        folders = [run.folder for run in find_runs(home)]
        timed(f"list of {10 * few} runs, first time", lambda: list_runs(home))
        seen = list_runs(home)[:IN_VIEW]
        timed(f"figures of the {IN_VIEW} in view, first time", lambda: with_figures(home, seen))
        timed("figures of all, first time", lambda: with_figures(home, list_runs(home)))
        chosen = folders[: few // 5]
        timed(f"comparison of {len(chosen)} runs, first time", lambda: compared(home, chosen))
        listed = timed(f"list of {10 * few} runs", lambda: list_runs(home))
        opened = timed(f"comparison of {len(chosen)} runs among them", lambda: compared(home, chosen))
        from gui.app import make_application

        application = make_application()
        shown = timed("tables of the window", lambda: tables(home))
        application.quit()
    ratio = times[10 * few] / times[few]
    print(f"ten times the runs: {ratio:.1f} times the time")
    holds = ratio <= 11 and (few < 1000 or (times[few] <= 3 and max(listed, opened, shown) < 2))
    print("The claim holds." if holds else "The claim does not hold.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
