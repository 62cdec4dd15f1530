"""Reports of devices: read strictly, shown beside runs, never compared across machines unnoticed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.analysis.table import pinned
from core.common.errors import EspalierError
from core.comparison.compared_runs import ComparedRun, mixed_conditions, read_all, read_report
from core.comparison.report import MIXED, as_format, warnings
from core.comparison.same_files import all_rows
from core.runs.home import Home


def plain(processor: str = "Cortex-A76", right: str = "1101", **latency: Any) -> dict[str, Any]:
    """What the script writes."""
    sessions = [10.0 + 0.1 * number for number in range(8)]
    return {
        "espalier_report": 1, "made": 1.8e9,
        "bundle": {
            "name": "Tour", "run": "run-1", "stage": "int8@7", "stage_name": "Static", "file": "ONNX INT8", "precision": "int8",
            "sha256": "a" * 64, "pipeline": "b" * 64, "bytes": 200_000, "images": {"count": 4, "of": 50, "id": "c" * 64},
        },
        "device": {
            "processor": processor, "instructions": ["asimd", "asimddp"], "physical_cores": 4, "logical_cores": 4,
            "memory_bytes": None, "gpu": [], "system": "Linux 6.1 aarch64", "python": "3.11.2",
            "versions": {"numpy": "1.26", "onnxruntime": "1.19.2", "pillow": "10.4"},
        },
        "accuracy": {
            "images": 4, "right": right, "top1": 25.0 * right.count("1"), "agreement": 75.0, "max_logit_difference": 0.02,
        },
        "latency_ms": {
            "threads": 1, "provider": "CPUExecutionProvider", "batch": 1, "runs": 300, "sessions": sessions,
            "median": float(np.median(sessions)), "low": 10.0, "high": 10.7, "level": 0.99, "p90": 11.0, "p99": 13.0, **latency,
        },
        "notes": ["The processor's clock is governed by 'ondemand': it may be slower between runs."],
    }  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a report under a name."""

    def written(content: Any, name: str = "report.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return written


def test_a_report_becomes_a_row(write: Callable[..., Path]) -> None:
    path = write(plain(), "pi.json")
    run = read_report(path)
    (row,) = run.rows()
    assert row.label == "Static on Cortex-A76" and row.change == {} and run.folder == str(path)
    assert row.metrics["top1"].value == 75.0 and row.metrics["top1"].n == 4
    assert row.metrics["top1"].low == pytest.approx(30.06, abs=0.01)  # Wilson, 3 of 4
    latency = row.metrics["latency_ms"]
    assert (latency.value, latency.low, latency.high, latency.n) == (pytest.approx(10.35), 10.0, 10.7, 300)
    assert "Cortex-A76" in latency.how and "1.19.2" in latency.how
    assert row.metrics["latency_ms_p99"].value == 13.0 and row.metrics["size_mb"].value == 0.2
    assert row.right["top1"].tolist() == [True, True, False, True]
    assert ComparedRun.model_validate_json(run.model_dump_json()) == run
    for name in ("table", "markdown", "latex", "html"):
        assert "Cortex" in as_format(name, [run], all_rows([run]))


@pytest.mark.parametrize(
    ("changed", "metric", "words"),
    [
        ({"threads": 4}, "latency_ms_all_cores", "4 threads"),
        ({"provider": "TensorrtExecutionProvider"}, "latency_ms", "TensorrtExecutionProvider"),
    ],
)
def test_a_time_says_how_it_was_measured(
    write: Callable[..., Path], changed: dict[str, Any], metric: str, words: str
) -> None:
    run = read_report(write(plain(**changed)))
    (row,) = run.rows()
    times = {
        name for name in row.metrics if name.startswith("latency_ms") and not name.endswith(("p90", "p99"))
    }
    assert times == {metric} and words in row.metrics[metric].how
    assert ("provider" in run.machine) == ("provider" in changed)
    usual = read_report(write(plain(), "usual.json"))
    assert mixed_conditions([run, usual]) == ("provider" in changed)


def test_a_batch_of_several_has_no_latency_of_one_image(write: Callable[..., Path]) -> None:
    (row,) = read_report(write(plain(batch=8))).rows()
    assert row.metrics["latency_ms"].value is None
    assert "8 images in a call" in row.metrics["latency_ms"].how


def test_another_machine_is_never_compared_unnoticed(write: Callable[..., Path]) -> None:
    one = read_report(write(plain(), "one.json"))
    other = read_report(write(plain("Neoverse-N1", right="1000"), "other.json"))
    assert warnings([one, other]) == [MIXED]
    rows = all_rows([one, other])
    assert all(not row.change for row in rows)
    _, changed = pinned(rows, rows[0].id)
    assert not {"latency_ms", "latency_ms_p90", "memory_mb"} & changed.change.keys()
    assert changed.change["top1"].value == -50.0  # the same packed images: paired
    assert changed.change["top1"].how == "2 images right before and wrong now, 0 the other way round"


def test_reports_are_read_among_runs(write: Callable[..., Path], tmp_path: Path) -> None:
    good, bad = write(plain()), write("{", "bad.json")
    first, second = read_all(Home(tmp_path / "home"), [good, bad])
    assert isinstance(first, ComparedRun) and first.name == "report"
    assert isinstance(second, EspalierError) and "bad.json" in str(second)


def changed(*path: str, to: Any) -> dict[str, Any]:
    """A report with one value changed; `to` None takes it away."""
    content = plain()
    inside: Any = content
    for name in path[:-1]:
        inside = inside[name]
    if to is None:
        del inside[path[-1]]
    else:
        inside[path[-1]] = to
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON file, or was cut short"),
        ("[]", "Expected a device's report, report.json is none"),
        ({"a": 1}, "Expected a device's report, report.json is none"),
        (changed("espalier_report", to=2), "another format than 1"),
        (changed("bundle", "sha256", to="xyz"), "bundle.sha256"),
        (changed("bundle", "sha256", to=None), "bundle.sha256: field required"),
        (changed("accuracy", "right", to="11"), "the number of images is not that of the answers"),
        (changed("accuracy", "top1", to=99.0), "top-1 is not the share of right answers"),
        (changed("bundle", "images", "count", to=5), "the answers are not to the packed images"),
        (changed("latency_ms", "median", to=3.0), "the median lies outside its interval"),
        (changed("latency_ms", "median", to=10.1), "the median is not that of the sessions"),
        (changed("latency_ms", "runs", to=20), "fewer than 30 runs in a session"),
        (changed("latency_ms", "p90", to="11"), "latency_ms.p90"),
        (changed("latency_ms", "p90", to=-1.0), "latency_ms.p90"),
        (changed("device", "memory", to=3), "device.memory"),
        (json.dumps(plain()).replace("13.0", "NaN"), "latency_ms.p99"),
    ],
)
def test_bad_files_are_refused_in_words(write: Callable[..., Path], content: Any, words: str) -> None:
    with pytest.raises(EspalierError) as caught:
        read_report(write(content))
    assert words in caught.value.message and "run.py --measure" in caught.value.advice


def test_a_missing_or_huge_file_is_refused_in_words(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(EspalierError, match="cannot be read"):
        read_report(tmp_path / "nothing.json")
    with pytest.raises(EspalierError, match="too large"):
        read_report(write(" " * 5_000_001))
