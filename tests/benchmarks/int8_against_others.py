"""Claim: our INT8 ResNet-56 is no slower and no less accurate than what the specialised tools make of the same network.

The others: NNCF for OpenVINO, and AIMET (aimet-onnx) for ONNX Runtime, each as its own guide does it. All get the
same float32 ONNX file and the same 512 calibration images: published weights, adapted to the JPEG images as in
int8_resnet56.py. One image, one thread, block after block in turns, a fresh process a block, 16 rounds and on a
noisy machine up to 60; all 10 000 test images.

- Our file, in the faster of ONNX Runtime and OpenVINO, against each of the others in the runtime that it was made for:
  the ratio of times, with its 99 % interval, stays below 1.05. In ONNX Runtime ours against AIMET's too.
- The change of top-1 from theirs to ours, paired on the same images, with its 95 % interval: stays above −0.5 points,
  and is not measurably below 0.

Float layers compute in float32 in both runtimes; both files in OpenVINO have the settings of `core.profiling.runtimes.openvino`.

    python tests/benchmarks/int8_against_others.py --data cifar10-jpeg.zip --weights resnet56-4bfd9763.th \\
        --nncf-python nncf/bin/python --aimet-python aimet/bin/python [--quick]

The other tools are no part of Espalier's environment; each has one of its own, whose Python is named:

    python3 -m venv nncf && nncf/bin/pip install nncf==3.4.0 openvino==2026.4.1
    python3 -m venv aimet && aimet/bin/pip install aimet-onnx==2.42.0

OpenVINO is that of the first, for both files. About 10 minutes on two cores; 3 once the stages are in the cache.
Nothing else may run on the machine.
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from claims import Verdict, finished, high, interval, low, parser, report, with_files
from int8_resnet56 import PIPELINE

from core.analysis.accuracy import paired_change
from core.data.store import open_data
from core.deploy.quantization.calibration import Sample, draw
from core.profiling.statistics import median_interval, ratio_interval, relative_half_width
from core.records.reports import Metric
from core.runs.home import Home
from core.runs.run_folder import RunFolder

OTHERS = Path(__file__).parent / "others"
ROUNDS, MOST_ROUNDS, WIDTH = 16, 60, 0.015
RUNS, SECONDS, LIMIT = 30, 0.15, 5.0
SLOWER, LOST = 1.05, -0.5


@dataclass(slots=True)
class Contender:
    """A quantized file in a runtime.

    Attributes:
        python: the interpreter that has the runtime. times: seconds, one figure a block.
        classes: that it names, int64 [n].
    """

    name: str
    file: Path
    runtime: str
    python: Path
    times: list[float] = field(default_factory=list)
    classes: "np.ndarray[Any, Any]" = field(default_factory=lambda: np.zeros(0, np.int64))


def call(python: Path, script: str, *arguments: str) -> str:
    """What a script of `others` prints last.

    Raises:
        SystemExit: when it fails, with what it said.
    """
    done = subprocess.run(
        [python, OTHERS / script, *arguments], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{python} {script} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()[-1]


def use(contender: Contender, job: str, **arguments: Any) -> dict[str, Any]:
    """A job of use.py on a contender's file."""
    told = {"model": str(contender.file), "runtime": contender.runtime, **arguments}
    result: dict[str, Any] = json.loads(call(contender.python, "use.py", job, json.dumps(told)))
    return result


def images_of(run: RunFolder, folder: Path) -> tuple[Path, Path, "np.ndarray[Any, Any]"]:
    """Calibration and test images as the network takes them, float32 [n, c, s, s] in .npy files, and the test labels [n]."""
    home, settings = Home.default(), run.pipeline.stage("static").settings
    given = {"data": run.pipeline.data.model_dump(), "data_cache": str(home.data)}
    model = onnx.load(float_file(run))
    sample = draw(model, given, "train", settings["images"], run.pipeline.axes.seed[0])
    data = open_data(run.pipeline.data, home.data)
    test = data.split("test")
    tested = Sample(data.images, test, data.labels[test], sample.preprocess)
    for name, each in (("calibration", sample), ("test", tested)):
        np.save(folder / f"{name}.npy", np.concatenate(list(each.blocks())))
    return folder / "calibration.npy", folder / "test.npy", tested.labels


def float_file(run: RunFolder) -> Path:
    return file_of(run, "adapted")


def file_of(run: RunFolder, stage: str) -> Path:
    """A stage's headline file."""
    found = report(run, stage).main
    assert found is not None
    return run.folder / found.path


def race(contenders: list[Contender], sample: Path, least: int, most: int) -> None:
    """Block after block in turns, every second round backwards, until all ratios to the first are narrow."""
    for number in range(most):
        for contender in contenders if number % 2 == 0 else contenders[::-1]:
            told = use(
                contender, "block", threads=1, sample=str(sample), runs=RUNS, seconds=SECONDS, limit=LIMIT
            )
            contender.times.append(float(np.median(told["seconds"])))
        ratios = [ratio_interval(contenders[0].times, each.times) for each in contenders[1:]]
        if number + 1 >= least and max(map(relative_half_width, ratios)) <= WIDTH:
            return


def row(contender: Contender, labels: "np.ndarray[Any, Any]") -> str:
    """Latency, accuracy and size in words."""
    found = median_interval(contender.times)
    assert found.low is not None and found.high is not None
    parts = (contender.file, contender.file.with_suffix(".bin"))
    size = sum(part.stat().st_size for part in parts if part.exists()) / 1e6
    right = 100 * float((contender.classes == labels).mean())
    return (
        f"{contender.name:<28} {1e3 * found.value:.3f} ms ({1e3 * found.low:.3f} to {1e3 * found.high:.3f})   "
        f"top-1 {right:.2f} %   {size:.2f} MB"
    )


def judge(ours: Contender, other: Contender, labels: "np.ndarray[Any, Any]", verdict: Verdict) -> None:
    """Both claims against one of the others."""
    found = ratio_interval(other.times, ours.times)
    ratio = Metric(value=found.value, low=found.low, high=found.high, level=found.level)
    verdict.claim(
        f"{ours.name} takes {interval(ratio, 3)} of the time of {other.name}, at most {SLOWER}",
        high(ratio) <= SLOWER,
    )
    change = paired_change(other.classes == labels, ours.classes == labels)
    verdict.claim(
        f"top-1 from {other.name} to ours changes by {interval(change)} points ({change.how})",
        low(change) >= LOST and high(change) >= 0,
    )


def main() -> int:
    made = parser(__doc__, data=True, weights="weights of ResNet-56 for CIFAR-10 (.th)")
    made.add_argument("--nncf-python", type=Path, required=True, help="a Python with nncf and openvino")
    made.add_argument("--aimet-python", type=Path, required=True, help="a Python with aimet-onnx")
    arguments = made.parse_args()
    verdict, own, openvino = Verdict(arguments), Path(sys.executable), arguments.nncf_python
    content = copy.deepcopy(PIPELINE)
    content["stages"] = [stage for stage in content["stages"] if stage["id"] != "aware"]
    run = finished(with_files(content, arguments), arguments)
    with tempfile.TemporaryDirectory() as made_here:
        folder = Path(made_here)
        calibration, test, labels = images_of(run, folder)
        theirs = {"nncf": folder / "nncf.xml", "aimet": folder / "aimet.onnx"}
        for name, python in (("nncf", openvino), ("aimet", arguments.aimet_python)):
            given = (str(float_file(run)), str(calibration), str(theirs[name]))
            print(call(python, f"{name}_quantize.py", *given), flush=True)
        ours = file_of(run, "static")
        contenders = [
            Contender("ours in ONNX Runtime", ours, "onnxruntime", own),
            Contender("ours in OpenVINO", ours, "openvino", openvino),
            Contender("NNCF's in OpenVINO", theirs["nncf"], "openvino", openvino),
            Contender("AIMET's in ONNX Runtime", theirs["aimet"], "onnxruntime", own),
        ]
        sample = folder / "sample.npy"
        np.save(sample, np.load(test, mmap_mode="r")[:1])
        race(contenders, sample, *((2, 2) if arguments.quick else (ROUNDS, MOST_ROUNDS)))
        for contender in contenders:
            contender.classes = np.array(use(contender, "answers", images=str(test))["classes"])
            print(row(contender, labels), flush=True)
    best = min(contenders[:2], key=lambda each: float(np.median(each.times)))
    here, _, nncf, aimet = contenders
    pairs = {(best.name, nncf.name): (best, nncf), (best.name, aimet.name): (best, aimet)}
    pairs[here.name, aimet.name] = (here, aimet)
    for mine, other in pairs.values():
        judge(mine, other, labels, verdict)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
