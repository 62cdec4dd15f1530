"""Somebody's ONNX classifier, tried on noise and brought into the form that everything else works on.

Every file from outside passes here before it is used. `b` images, `c` channels, `s` pixels a side, `k` classes.
A job of the tool child: a file may bring ONNX Runtime down.
"""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.errors import EspalierError
from core.common.library_reasons import reason_of
from core.data.access import DataAccess
from core.data.class_names import matched
from core.data.preprocess import LUMA, Preprocess
from core.deploy.export import add_metadata, metadata_of, save_checked
from core.machine.jobs import ProgressCallback, quick
from core.onnx_graph.class_names import class_names
from core.onnx_graph.classifier import Answers, Images, answers_of, images_of
from core.onnx_graph.reading import files_beside, graphs_of, load_beside, names_read, read_onnx, tensors_of
from core.onnx_graph.standard_form import standard_form, with_batch, without_declared_shapes

if TYPE_CHECKING:
    import onnx

_BYTE = 1 / 255  # the deviation that leaves bytes as they are
_SAME = 1e-3  # of the largest answer: how far answers may lie apart by rounding
_REPEATS = 8  # of the same image, to see whether random numbers are drawn
_DRAWS = ("Random", "Bernoulli", "Multinomial")
_PROBE_SEED = 20_261_128


@dataclass(frozen=True, slots=True)
class Reading:
    """How somebody's file is to be read.

    Attributes:
        name: what to call it in messages.
        preprocess: how images are prepared; None leaves it to the file.
        output: the one with the classes' numbers; "" finds it.
        match_names: whether class names in the file, or beside it, say which output is which class.
        beside: files beside the original that hold class names, and these (`names_beside`).
    """

    name: str
    preprocess: Preprocess | None = None
    output: str = ""
    match_names: bool = True
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def as_plain(self) -> dict[str, Any]:
        """As arguments of the job `receive`."""
        prepare = self.preprocess.as_dict() if self.preprocess is not None else None
        return {
            "name": self.name,
            "preprocess": prepare,
            "output": self.output,
            "match_names": self.match_names,
            "beside": [[file, list(names)] for file, names in self.beside],
        }


LONGEST_ANSWER = 60.0
"""Seconds that a model may take for two images; large ones take a few."""


@dataclass(frozen=True, slots=True)
class Form:
    """A file's model in the usual form.

    Attributes:
        changed: whether it is another than the file's.
        notes: sentences on what was found and changed.
    """

    model: "onnx.ModelProto"
    images: Images
    answers: Answers
    changed: bool
    notes: list[str]


@quick
def receive(arguments: dict[str, Any], progress: ProgressCallback) -> dict[str, Any]:
    """Job: see what a file is, and write it in the usual form where it has another.

    Args (as plain data):
        source, target: .onnx files.
        classes: the data set's, in its order; or data, data_cache, base: of the data set.
        name, preprocess, output, match_names, beside: of `Reading.as_plain`.

    Returns: path, of the target, or of the source where nothing had to be written; notes.

    Raises:
        EspalierError: when it is no image classifier for these classes.
    """
    source, target = Path(arguments["source"]), Path(arguments["target"])
    classes = arguments.get("classes") or DataAccess.from_plain(arguments).open().classes
    name = str(arguments["name"])
    progress(0.0, f"Reading {name}")
    form = usual_form(source, len(classes), arguments["output"], name)
    metadata = metadata_of(form.model)
    prepare = _preparing(name, form, metadata, arguments["preprocess"])
    order, about_order = _order(name, form, metadata, classes, arguments["match_names"])
    if not about_order and arguments["match_names"] and not _names(form, metadata):
        order, about_order = _order_beside(classes, arguments.get("beside", ()))
    form.notes.extend(about_order)
    progress(0.3, f"Trying {name}")
    one_by_one = try_out(form.model, name, form.images, prepare.size, len(classes))
    if one_by_one:
        with_batch(form.model, 1)
        form.notes.append(one_by_one)
    described = {"preprocess": prepare.as_dict(), "classes": list(order)}
    progress(1.0, f"Read {name}")
    if not form.changed and not one_by_one and all(_holds(metadata, *entry) for entry in described.items()):
        return {"path": str(source), "notes": form.notes}
    texts = {name: json.dumps(content, ensure_ascii=False) for name, content in described.items()}
    add_metadata(form.model, texts)
    _write(form.model, target, name, len(classes))
    return {"path": str(target), "notes": form.notes}


def _write(model: "onnx.ModelProto", target: Path, name: str, classes: int) -> None:
    """Write the copy; where a declared shape is not true, without the declared shapes.

    Raises:
        EspalierError: when the model breaks a rule of ONNX.
    """
    model.graph.name = model.graph.name or "network"  # ONNX wants one
    try:
        save_checked(model, target)
        return
    except EspalierError:
        without_declared_shapes(model, classes)
    try:
        save_checked(model, target)
    except EspalierError as error:
        raise EspalierError(
            f"{name} is not valid ONNX: {reason_of(_cause(error))}.",
            "Export it again; another operator set or a newer exporter may avoid it.",
            error.details,
        ) from error


def usual_form(path: Path, classes: int | None, output: str = "", name: str = "") -> Form:
    """The model of a file, float32 [b, c, s, s] in and [b, k] out.

    Raises:
        EspalierError: when it is no image classifier, or it is not clear which output is the classes'.
    """
    name = name or path.name
    model = read_onnx(path, weights=False)
    beside = files_beside(model)
    load_beside(model, path)
    _check_weights(model, name)
    images = images_of(model, name)
    answers = answers_of(model, name, classes, output)
    model, notes = standard_form(model, images, answers)
    if beside:
        notes.insert(
            0, f"Its weights lie beside it, in {', '.join(beside)}; files that are made from it hold them."
        )
    return Form(model, images, answers, bool(notes), notes)


def _cause(error: EspalierError) -> Exception:
    return error.__cause__ if isinstance(error.__cause__, Exception) else error


def try_out(model: "onnx.ModelProto", file: str, images: Images, size: int, classes: int) -> str:
    """Run a model in the usual form on two images of noise, together and one by one.

    Returns: why it has to be given one image at a time; "" where it takes any number, or the number it declares.

    Raises:
        EspalierError: when it does not run, or gives something else than numbers for the classes.
    """
    session, noise = _session(model, file), _noise(images, size)
    few = np.resize(noise, (images.batch or 1, *noise.shape[1:]))
    first = _answers(session, few)
    if isinstance(first, str):
        raise EspalierError(
            f"ONNX Runtime cannot run {file} on {_images(len(few))} of {size} × {size} pixels: {first}.",
            "Give the image size that it was made for, or export it again.",
        )
    _check_answers(first, file, classes, len(few))
    again = [_answers(session, few) for _ in range(_REPEATS if _may_draw(model) else 1)]
    if not all(isinstance(answer, np.ndarray) and _close(first, answer) for answer in again):
        raise EspalierError(
            f"{file} answers the same image otherwise each time: it draws random numbers.",
            "Export it in evaluation mode (model.eval()), so that dropout and the like are off.",
        )
    if images.batch is not None:
        return ""
    together, second = _answers(session, noise), _answers(session, noise[1:])
    if isinstance(together, str) or isinstance(second, str):
        return "It runs on one image at a time only, although it declares otherwise: its batch size is 1 from here on."
    if any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node):
        return ""  # it finds one range for all images of a call, so answers differ by rounding
    if not _close(together, np.concatenate([first, second])):
        return (
            "Its answer to an image depends on which others are in the call, so it is given one at a time: its batch "
            "size is 1 from here on."
        )
    return ""


def _may_draw(model: "onnx.ModelProto") -> bool:
    """Whether some operator can draw random numbers; Dropout does where it is told that it trains."""
    return any(
        node.op_type.startswith(_DRAWS) or (node.op_type == "Dropout" and len(node.input) > 2)
        for graph in graphs_of(model.graph) for node in graph.node
    )  # fmt: skip


def _session(model: "onnx.ModelProto", file: str) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if model.graph.value_info:  # what a file declares inside is not always true, and nothing needs it
            del model.graph.value_info[:]
            return _session(model, file)
        if "NOT_IMPLEMENTED" in str(error) or "Could not find an implementation" in str(error):
            raise EspalierError(
                f"{file} holds an operator in a form that ONNX Runtime has not on a processor: {_operator(error)}.",
                "Export it in float32 (model.float()) with ONNX's own operators.",
                str(error),
            ) from error
        raise EspalierError(
            f"ONNX Runtime cannot open {file}: {reason_of(error)}.",
            "Export it again, or with another operator set.",
            str(error),
        ) from error


def _operator(error: Exception) -> str:
    found = re.search(r"implementation for (\S+)", str(error))
    return found[1] if found else reason_of(error)


def _noise(images: Images, size: int) -> np.ndarray:
    """float32 [2, c, s, s]: bytes for a network of bytes, else numbers around 0."""
    random = np.random.default_rng(_PROBE_SEED)
    shape = (2, images.channels, size, size)
    if images.kind == "uint8":
        return random.integers(0, 256, shape).astype(np.float32)
    return random.standard_normal(shape).astype(np.float32)


def _answers(session: Any, images: np.ndarray) -> np.ndarray | str:
    """What the model gives, or why it gives nothing; a file may hold a loop that never ends."""
    import onnxruntime as ort

    run = ort.RunOptions()
    timer = threading.Timer(LONGEST_ANSWER, setattr, (run, "terminate", True))
    timer.start()
    try:
        answer: np.ndarray = session.run(None, {session.get_inputs()[0].name: images}, run)[0]
        return answer
    except Exception as error:
        return reason_of(error) if not run.terminate else f"no answer came within {LONGEST_ANSWER:g} seconds"
    finally:
        timer.cancel()


def _check_answers(answers: np.ndarray, file: str, classes: int, images: int) -> None:
    if answers.ndim == 2 and answers.shape[1] == classes:
        return
    raise EspalierError(
        f"{file} gives {list(answers.shape)} for {_images(images)}, expected one number for each of the data set's "
        f"{classes} classes.",
        "Choose the data set that the network was made for.",
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _close(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether answers are the same but for rounding; what is no number counts as the same everywhere."""
    if first.shape != second.shape:
        return False
    largest = float(np.abs(first[np.isfinite(first)]).max(initial=0.0))
    return bool(np.allclose(first, second, rtol=_SAME, atol=_SAME * largest, equal_nan=True))


def _check_weights(model: "onnx.ModelProto", file: str) -> None:
    """See that no weight is NaN; infinite constants are usual (masks, bounds).

    Raises:
        EspalierError: naming the first ones.
    """
    from onnx import numpy_helper

    broken, read = [], names_read(model)
    for tensor in tensors_of(model):
        if tensor.data_type not in (1, 10, 11, 16) or (tensor.name and tensor.name not in read):
            continue
        values = numpy_helper.to_array(tensor).astype(np.float32, copy=False)
        if (count := int(np.isnan(values).sum())) > 0:
            broken.append(f"{tensor.name or 'a constant'} ({count} of {values.size})")
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise EspalierError(
            f"{file} holds weights that are not a number (NaN): {', '.join(broken[:3])}{more}.",
            "Its training diverged, or the file was damaged; export it again from a checkpoint of before.",
        )


def _preparing(
    file: str, form: Form, metadata: Mapping[str, str], given: Mapping[str, Any] | None
) -> Preprocess:
    """How images are prepared for the model in its usual form.

    Raises:
        EspalierError: when nothing says it, or it gives images of another size than the file takes.
    """
    images = form.images
    if given is None and _holds_json(metadata, "preprocess"):
        given = Preprocess.from_json(metadata["preprocess"]).as_dict()
    if given is None and images.kind == "uint8" and images.size is not None:
        given = Preprocess(images.size).as_dict()
    if given is None:
        size = (
            f"its input is {images.size} × {images.size} pixels"
            if images.size
            else "its input takes any size"
        )
        raise EspalierError(
            f"{file} does not say how images have to be prepared for it: it was not made by Espalier.",
            f"Give the image size ({size}) and the normalisation: mean and standard deviation.",
        )
    prepare = Preprocess.from_dict(dict(given))
    if images.size is not None and prepare.size != images.size:
        raise EspalierError(
            f"The preprocessing gives images of {prepare.channels} × {prepare.size} × {prepare.size}, {file} takes "
            f"images of {images.size} × {images.size} pixels.",
            f"Give the image size that the file was made for, {images.size}.",
        )
    fitting = _with_channels(prepare, images.channels)
    if images.kind == "uint8":
        return replace(fitting, mean=(0.0,) * images.channels, std=(_BYTE,) * images.channels)
    if images.channels == 1:
        form.notes.append(
            f"It takes grey images (1 channel): colours become brightness, normalised by mean {fitting.mean[0]:.3g} and "
            f"deviation {fitting.std[0]:.3g}."
        )
    return fitting


def _with_channels(prepare: Preprocess, channels: int) -> Preprocess:
    """The same for as many channels; of several means the one of the brightness that colours become."""
    if prepare.channels == channels:
        return prepare
    if channels == 3:
        return replace(prepare, channels=3, mean=prepare.mean * 3, std=prepare.std * 3)

    def one(values: tuple[float, ...]) -> tuple[float, ...]:
        weighted = sum(part * value for part, value in zip(LUMA, values, strict=True)) / sum(LUMA)
        return (values[0] if len(set(values)) == 1 else weighted,)

    return replace(prepare, channels=1, mean=one(prepare.mean), std=one(prepare.std))


def _order(
    file: str, form: Form, metadata: Mapping[str, str], classes: Sequence[str], match_names: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The data set's class of each logit, and a sentence on where that order is from.

    Raises:
        EspalierError: when the file names other classes.
    """
    names = _names(form, metadata)
    if names and len(names) != len(classes):
        few = ", ".join(names[:3])
        return tuple(classes), [
            f"It names {len(names)} classes ({few}, …) and gives {len(classes)} numbers; the names are passed over."
        ]
    places = matched(names, classes)
    numbers = all(name.lstrip("-").isdigit() for name in names)
    if not match_names or not names or (numbers and places is None):
        return tuple(classes), []
    if places is None:
        strange = sorted(set(names) ^ set(classes))
        raise EspalierError(
            f"{file} and the data set have different classes: the file names {len(names)} ({', '.join(names[:4])}, …), "
            f"the data set has {len(classes)} ({', '.join(classes[:4])}, …); among those that differ: "
            f"{', '.join(strange[:4])}.",
            "Choose the data set that the network was made for, or pass over the names in the file (Class names: "
            "ignore, --ignore-names).",
        )
    found = _in_places(classes, places)
    if found == tuple(classes):
        return found, []
    order = ", ".join(found[:4])
    return found, [
        f"Its classes are in another order than the data set's ({order}, …); they are matched by name."
    ]


def _names(form: Form, metadata: Mapping[str, str]) -> tuple[str, ...]:
    return class_names(metadata) or form.answers.classes


def _in_places(classes: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    """The class at each place, from the place of each class."""
    by_place = dict(zip(places, classes, strict=True))
    return tuple(by_place[place] for place in range(len(places)))


def _order_beside(
    classes: Sequence[str], beside: Sequence[tuple[str, Sequence[str]]]
) -> tuple[tuple[str, ...], list[str]]:
    """The same where a file beside the model names the classes."""
    for file, names in beside:
        places = matched(names, classes)
        if places is not None:
            return _in_places(classes, places), [
                f"The order of its classes is that of {file} beside it ({', '.join(names[:4])}, …)."
            ]
    others = [file for file, names in beside if len(names) == len(classes)]
    notes = [
        f"{file} beside it names other classes than the data set has; the data set's order is taken."
        for file in others[:1]
    ]
    return tuple(classes), notes


def _holds_json(metadata: Mapping[str, str], name: str) -> bool:
    try:
        return isinstance(json.loads(metadata.get(name, "")), list | dict)
    except (ValueError, RecursionError):
        return False


def _holds(metadata: Mapping[str, str], name: str, content: Any) -> bool:
    return _holds_json(metadata, name) and json.loads(metadata[name]) == content
