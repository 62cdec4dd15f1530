#!/usr/bin/env python3
"""Runs the image classifier beside this file with NumPy, Pillow and ONNX Runtime alone.

    python run.py IMAGE...            the five likeliest classes of each image
    python run.py --measure           accuracy on the packed test images, latency here -> report.json

Works on Python 3.9 and newer, on x86 and Arm, on Linux, macOS and Windows. What cannot be found out on a
device is left out and said in the report's notes.

How latency is measured: the model alone, its input in memory, one image in a call, one thread unless
--threads says otherwise. Every session is opened anew, run until three windows of five runs agree within
3 %, and then timed for at least 30 runs and 0.05 s. The figure is the median over at least 8 sessions of
each session's median; its 99 % interval comes from the order statistics of those medians, because runs
inside one session are alike and sessions differ. p90 is the median over sessions; p99 is over all runs.

Shapes: b images in a call, c channels, h x w pixels of an image, s pixels a side of what the model sees.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import hashlib
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
FORMAT = 1  # of report.json
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "GIF",
    "WEBP",
    "TIFF",
    "PPM",
)  # of pictures; others may be programs (PostScript)
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "qnn": "QNNExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
LEVEL = 0.99
LEAST_RUNS, LEAST_SECONDS = 30, 0.05  # timed in a session
LEAST_SESSIONS, MOST_SESSIONS = 8, 24
NARROW = 0.03  # half the interval's width, as a share, at which measuring ends


class Trouble(Exception):
    """Something that a person can understand and act on."""


try:
    import numpy as np
    import onnxruntime as ort
    from PIL import Image, ImageOps
except ImportError as error:
    sys.exit(
        "This script needs NumPy, Pillow and ONNX Runtime (%s). Install them with:\n"
        "    python -m pip install -r requirements.txt" % error
    )


# --- The model and its images -----------------------------------------------------------------------


def read_bundle():
    """What stands in bundle.json, once model.onnx is seen to be the file that it speaks of."""
    try:
        bundle = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
        content = (HERE / "model.onnx").read_bytes()
    except (OSError, ValueError) as error:
        raise Trouble("bundle.json and model.onnx have to lie beside this script: %s" % error) from error
    if bundle.get("format") != FORMAT:
        raise Trouble(
            "bundle.json has format %s, this script reads format %d." % (bundle.get("format"), FORMAT)
        )
    if hashlib.sha256(content).hexdigest() != bundle["sha256"]:
        raise Trouble("model.onnx is not the file that was exported: it was changed or cut short on its way.")
    return bundle


def open_session(threads, provider):
    """The model on so many threads, through one provider; an operator after the other."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    wanted = [provider] if provider == PROVIDERS["cpu"] else [provider, PROVIDERS["cpu"]]
    if provider == PROVIDERS["tensorrt"]:
        wanted.insert(1, PROVIDERS["cuda"])
    try:
        session = ort.InferenceSession(str(HERE / "model.onnx"), options, providers=wanted)
    except Exception as error:
        raise Trouble(
            "ONNX Runtime %s could not open model.onnx: %s\nA newer onnxruntime may; or export the model "
            "again with a lower operator set." % (ort.__version__, error)
        ) from error
    if session.get_providers()[0] != provider:
        raise Trouble(
            "ONNX Runtime has no working %s here and would compute on the processor instead; its messages "
            "above say what it misses." % provider
        )
    return session


def provider_called(name):
    """The provider that a person means, when this ONNX Runtime has it."""
    provider = PROVIDERS.get(name.lower(), name)
    there = ort.get_available_providers()
    if provider not in there:
        short = {long: key for key, long in PROVIDERS.items()}
        names = ", ".join(short.get(each, each) for each in there)
        raise Trouble(
            "This ONNX Runtime has no provider %s; it has: %s. GPUs need the package onnxruntime-gpu, or the "
            "board's own build." % (name, names)
        )
    return provider


class Model:
    """An open session that takes pictures: uint8 [h, w, 3]."""

    def __init__(self, bundle, threads, provider):
        self.bundle = bundle
        self.session = open_session(threads, provider)
        entry = self.session.get_inputs()[0]
        self.output = self.session.get_outputs()[0].name
        self.name = entry.name
        self.kind = {"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}.get(entry.type, np.float32)
        self.batch = entry.shape[0] if isinstance(entry.shape[0], int) else 1

    def feed(self, picture):
        """A picture as the model's input, [b, c, s, s] or bytes [b, h, w, 3], repeated to the model's batch."""
        one = picture[None] if self.bundle["prepares"] else prepared(picture, self.bundle["preprocess"])
        return {self.name: np.ascontiguousarray(np.repeat(one, self.batch, axis=0), dtype=self.kind)}

    def answer(self, feed):
        """The logits of the first image, float32 [classes]."""
        return np.asarray(self.session.run([self.output], feed)[0][0], dtype=np.float32)


def read_picture(path):
    """An image file, upright, as uint8 [h, w, 3] (red, green, blue)."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Trouble("%s cannot be read as an image: %s" % (path, error)) from error


def prepared(picture, how):
    """uint8 [h, w, 3] to float32 [1, c, s, s], as in training: crop, resize, normalise."""
    image = picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)  # [3, h, w] in 0...1
    height, width = image.shape[1:]
    if how["resize"] == "crop" and height != width:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        image = image[:, top : top + side, left : left + side]
    size = how["size"]
    if image.shape[1:] != (size, size):
        rows, columns = (resizing(length, size) for length in image.shape[1:])
        image = rows @ (image @ columns.T)  # [s, h] @ ([3, h, w] @ [w, s])
    if how["channels"] == 1:  # brightness, ITU-R 601-2
        grey = (0.2989 * image[0] + 0.587 * image[1]) + 0.114 * image[2]
        flat = (picture == picture[..., :1]).all()
        image = image[:1] if flat else grey[None]
    mean, std = (np.asarray(how[name], np.float32)[:, None, None] for name in ("mean", "std"))
    return ((image - mean) / std)[None].astype(np.float32)


def resizing(length, size):
    """Weights [size, length] of a bilinear resize that smooths what it makes smaller, as PyTorch's does."""
    scale = length / size
    reach = max(scale, 1.0)
    weights = np.zeros((size, length), np.float64)
    for index in range(size):
        centre = scale * (index + 0.5)
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), length)
        away = np.abs((np.arange(first, last) - centre + 0.5) / reach)
        weights[index, first:last] = np.clip(1.0 - away, 0.0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def classify(model, paths):
    """Print the five likeliest classes of every image; whether all could be read."""
    good = True
    for path in paths:
        try:
            logits = model.answer(model.feed(read_picture(path)))
        except Trouble as trouble:
            print(trouble, file=sys.stderr)
            good = False
            continue
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        print(path)
        for index in np.argsort(-shares)[:5]:
            print("  %6.2f %%  %s" % (100 * shares[index], model.bundle["classes"][index]))
    return good


# --- Measuring --------------------------------------------------------------------------------------


def class_number(classes, cell):
    """The class that a cell names; an apostrophe before it keeps spreadsheet programs from reading a formula."""
    return classes.index(cell if cell in classes else cell[1:])


def accuracy(model):
    """What the model answers to the packed images: right answers, and agreement with where it was exported."""
    with open(str(HERE / "labels.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = [class_number(model.bundle["classes"], row["class"]) for row in rows]
    expected = np.load(str(HERE / "expected.npy"), allow_pickle=False)
    logits = np.stack([model.answer(model.feed(read_picture(HERE / row["file"]))) for row in rows])
    if not np.isfinite(logits).all():
        raise Trouble("The model answers with numbers that are not finite: it does not work on this device.")
    guesses = logits.argmax(1)
    right = guesses == np.asarray(labels)
    return {
        "images": len(rows),
        "right": "".join("1" if each else "0" for each in right),
        "top1": 100.0 * float(right.mean()),
        "agreement": 100.0 * float((guesses == expected.argmax(1)).mean()),
        "max_logit_difference": float(np.abs(logits - expected).max()),
    }


def timed(run, runs, seconds):
    """Seconds of each of at least `runs` runs that last at least `seconds` together."""
    found = []
    started = time.perf_counter()
    while True:
        before = time.perf_counter()
        run()
        after = time.perf_counter()
        found.append(after - before)
        if len(found) >= runs and after - started >= seconds:
            return found


def warmed_up(run):
    """Run until the medians of the last three windows agree; False where that takes too long."""
    windows = []
    started = time.perf_counter()
    while True:
        windows.append(median(timed(run, 5, 0.0)))
        spent, last = time.perf_counter() - started, windows[-3:]
        if len(last) == 3 and max(last) - min(last) <= 0.03 * min(last) and spent >= 0.03:
            return True
        if len(windows) >= 3 and spent >= 2.0:
            return False


def one_session(bundle, threads, provider, picture):
    """Seconds of the timed runs of one session, whether it was warm, and images in a call."""
    model = Model(bundle, threads, provider)
    feed = model.feed(picture)

    def run():
        model.session.run([model.output], feed)

    run()
    settled = warmed_up(run)
    gc.collect()
    gc.disable()
    try:
        return timed(run, LEAST_RUNS, LEAST_SECONDS), settled, model.batch
    finally:
        gc.enable()


def latency(bundle, threads, provider, seconds):
    """The report's latency, in milliseconds, and notes on it."""
    picture = read_picture(HERE / "images" / sorted(os.listdir(str(HERE / "images")))[0])
    sessions, steady, batch = [], [], 1
    started = time.perf_counter()
    while True:
        found, settled, batch = one_session(bundle, threads, provider, picture)
        sessions.append([1e3 * each for each in found])
        steady.append(settled)
        low, high, level = interval([median(each) for each in sessions])
        middle = median(median(each) for each in sessions)
        print("\rMeasuring latency: %d sessions, %.3f ms " % (len(sessions), middle), end="", file=sys.stderr)
        narrow = low is not None and (high - low) / 2 <= NARROW * middle
        spent = time.perf_counter() - started
        if len(sessions) >= LEAST_SESSIONS and (narrow or len(sessions) >= MOST_SESSIONS or spent > seconds):
            break
    print(file=sys.stderr)
    notes = []
    if not narrow:
        notes.append("The latency is still uncertain to ±%.0f %%." % (50 * (high - low) / middle))
    if not all(steady):
        notes.append("In %d sessions times were not steady after the warm-up." % steady.count(False))
    if batch > 1:
        notes.append("The model takes %d images in a call; the latency is of such a call." % batch)
    runs = [each for session in sessions for each in session]
    return {
        "threads": threads, "provider": provider, "batch": batch, "runs": len(runs),
        "sessions": [median(each) for each in sessions],
        "median": middle, "low": low, "high": high, "level": level,
        "p90": median(float(np.quantile(each, 0.9)) for each in sessions), "p99": float(np.quantile(runs, 0.99)),
    }, notes  # fmt: skip


def interval(values):
    """The narrowest pair of order statistics that covers the median at LEVEL, and what it covers.

    Source: Conover, Practical Nonparametric Statistics, 3.2.
    """
    ordered, n = sorted(values), len(values)
    if n < 2:
        return None, None, None
    cut, below = 0, 0.5**n  # values cut off on each side; P(Binomial(n, 1/2) <= cut)
    while cut + 1 <= (n - 1) // 2:
        further = below + binomial(n, cut + 1) * 0.5**n
        if 1 - 2 * further < LEVEL:
            break
        cut, below = cut + 1, further
    return ordered[cut], ordered[n - 1 - cut], min(1 - 2 * below, LEVEL)


def binomial(n, k):
    """n over k."""
    return math.factorial(n) // math.factorial(k) // math.factorial(n - k)


# --- The device ------------------------------------------------------------------------------------

INSTRUCTIONS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16",
)  # fmt: skip


def fingerprint(notes):
    """What a timing depends on. What the system does not say is left out, with a note."""
    name, flags = processor()
    logical = usable()
    physical = physical_cores(logical)
    memory = memory_bytes()
    missing = [
        word for word, value in (("number of physical cores", physical), ("memory", memory)) if value is None
    ]
    if missing:
        notes.append("The system does not say: %s." % ", ".join(missing))
    governor = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    if governor and governor != "performance":
        notes.append("The processor's clock is governed by '%s': it may be slower between runs." % governor)
    return {
        "processor": name,
        "instructions": sorted(flags & set(INSTRUCTIONS)),
        "physical_cores": physical,
        "logical_cores": len(logical),
        "memory_bytes": memory,
        "gpu": gpus(),
        "system": "%s %s %s" % (platform.system(), platform.release(), platform.machine()),
        "python": platform.python_version(),
        "versions": {"numpy": np.__version__, "onnxruntime": ort.__version__, "pillow": Image.__version__},
    }


def processor():
    """The processor's name and instruction sets, as far as the system tells; a board's name where it has none."""
    plain = platform.processor() or platform.machine() or "unknown processor"
    if sys.platform == "linux":
        entries = {}
        for line in read_text("/proc/cpuinfo").splitlines():
            key, _, value = line.partition(":")
            entries.setdefault(key.strip(), value.strip())
        board = read_text("/proc/device-tree/model").strip("\0 \n")
        name = entries.get("model name") or entries.get("Hardware") or board or plain
        return name, set((entries.get("flags") or entries.get("Features") or "").split())
    if sys.platform == "darwin":
        features = (ask_mac("machdep.cpu.features") + " " + ask_mac("machdep.cpu.leaf7_features")).lower()
        return ask_mac("machdep.cpu.brand_string") or plain, set(features.replace("avx2.0", "avx2").split())
    return plain, set()


def usable():
    """The logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def physical_cores(logical):
    """How many physical cores they belong to, or None."""
    if sys.platform == "darwin":
        count = ask_mac("hw.physicalcpu")
        return int(count) if count.isdigit() else None
    base = "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list"
    siblings = {read_text(base % core).strip() for core in logical}
    return None if "" in siblings else len(siblings)


def memory_bytes():
    """Physical memory, or None."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return windows_memory() if sys.platform == "win32" else None


def windows_memory():
    """Physical memory as Windows tells it, or None."""

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "page", "page_free", "own", "own_free", "more")
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    done = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.total) if done else None


def gpus():
    """Names of the NVIDIA GPUs, from the driver; boards of the Jetson family say theirs as the processor."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=True, universal_newlines=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def ask_mac(key):
    """One of macOS's facts; "" where it has none."""
    try:
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", key], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True
        )  # fmt: skip
    except OSError:
        return ""
    return answer.stdout.strip()


def read_text(path):
    """A small file of the system; "" where it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# --- The command line -------------------------------------------------------------------------------


def measure(bundle, options, provider):
    """Measure, write the report and say what is in it."""
    notes = []
    device = fingerprint(notes)
    print("Answering %d test images" % bundle["images"]["count"], file=sys.stderr)
    found = accuracy(Model(bundle, options.threads, provider))
    times, more = latency(bundle, options.threads, provider, options.seconds)
    kept = (
        "name",
        "run",
        "stage",
        "stage_name",
        "file",
        "precision",
        "sha256",
        "pipeline",
        "bytes",
        "images",
    )
    report = {
        "espalier_report": FORMAT,
        "made": time.time(),
        "bundle": {name: bundle[name] for name in kept},
        "device": device,
        "accuracy": found,
        "latency_ms": times,
        "notes": notes + more,
    }
    part = options.out.with_name(options.out.name + ".part")
    part.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(str(part), str(options.out))
    print("%s: %s" % (bundle["stage_name"], bundle["file"]))
    print("  %s, %s" % (device["processor"], device["system"]))
    print("  top-1 %.2f %% on %d packed test images" % (found["top1"], found["images"]))
    print(
        "  agreement with the export %.2f %%, largest logit difference %.2g"
        % (found["agreement"], found["max_logit_difference"])
    )
    bounds = "%g %% interval %.3f to %.3f" % (100 * times["level"], times["low"], times["high"])
    print(
        "  latency %.3f ms (%s), p90 %.3f, p99 %.3f" % (times["median"], bounds, times["p90"], times["p99"])
    )
    print(
        "  batch %d, %d thread(s), %s; %d runs in %d sessions"
        % (times["batch"], times["threads"], provider, times["runs"], len(times["sessions"]))
    )
    for note in report["notes"]:
        print("  Note: %s" % note)
    print("Written to %s" % options.out)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Classify images, or measure the model on this device.")
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="image files to classify")
    parser.add_argument("--measure", action="store_true", help="measure accuracy and latency, write a report")
    parser.add_argument("--threads", type=int, default=1, help="threads to compute with (default 1)")
    parser.add_argument("--provider", default="cpu", help="cpu, cuda, tensorrt, or a name of ONNX Runtime's")
    parser.add_argument("--out", type=Path, default=Path("report.json"), help="the report's file")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="no session beyond the 8th begins after so many seconds"
    )
    options = parser.parse_args(arguments)
    if not options.measure and not options.images:
        parser.error("give images to classify, or --measure")
    if options.threads < 1:
        parser.error("--threads has to be at least 1")
    try:
        bundle, provider = read_bundle(), provider_called(options.provider)
        if options.measure:
            measure(bundle, options, provider)
        good = not options.images or classify(Model(bundle, options.threads, provider), options.images)
    except (Trouble, OSError) as error:
        print("Error: %s" % error, file=sys.stderr)
        return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
