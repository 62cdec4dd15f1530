"""Somebody's ONNX classifier, tried on noise and brought into the form that everything else works on.

Every file from outside passes here before it is used. `b` images, `c` channels, `s` pixels a side, `k` classes.
A job of the tool child: a file may bring ONNX Runtime down.
"""

import json
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
from core.deploy.onnx_export import add_metadata, metadata_of, save_checked
from core.deploy.trial_answers import try_out
from core.machine.jobs import ProgressCallback, quick
from core.onnx_graph.class_names import class_names
from core.onnx_graph.classifier import Answers, Images, answers_of, images_of
from core.onnx_graph.reading import (
    files_beside,
    graphs_of,
    load_beside,
    names_read,
    read_onnx,
    tensors_of,
)
from core.onnx_graph.standard_form import standard_form, with_any_batch, with_batch, without_declared_shapes
from core.onnx_graph.wrong_files import unprepared

if TYPE_CHECKING:
    import onnx

_BYTE = 1 / 255  # the deviation that leaves bytes as they are


@dataclass(frozen=True, slots=True)
class Reading:
    """How somebody's file is to be read.

    Attributes:
        name: what to call it in messages.
        preprocess: how images are prepared; None leaves it to the file.
        output: the one with the classes' numbers; "" finds it.
        match_names: whether class names in the file, or beside it, say which output is which class.
        alone: whether it has to take one image in a call, which is what is timed.
        beside: files beside the original that hold class names, and these (`names_beside`).
    """

    name: str
    preprocess: Preprocess | None = None
    output: str = ""
    match_names: bool = True
    alone: bool = False
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def as_plain(self) -> dict[str, Any]:
        """As arguments of the job `receive`."""
        prepare = self.preprocess.as_dict() if self.preprocess is not None else None
        return {
            "name": self.name,
            "preprocess": prepare,
            "output": self.output,
            "match_names": self.match_names,
            "alone": self.alone,
            "beside": [[file, list(names)] for file, names in self.beside],
        }


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
        name, preprocess, output, match_names, alone, beside: of `Reading.as_plain`.

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
    if form.images.batch is not None and form.images.batch > 1:
        form = _opened(form, name, prepare.size, len(classes), arguments["alone"])
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


def _opened(form: Form, name: str, size: int, classes: int, alone: bool) -> Form:
    """A model that declares a fixed number of images in a call, for any number where that works too.

    Args:
        alone: whether it has to, for one image is timed.

    Raises:
        EspalierError: when it has to and does not.
    """
    opened = replace(
        form, model=with_any_batch(form.model), images=replace(form.images, batch=None), changed=True
    )
    try:
        try_out(opened.model, name, opened.images, size, classes)
    except EspalierError as error:
        if not alone:
            return form
        try_out(form.model, name, form.images, size, classes)
        raise EspalierError(
            f"{name} takes exactly {form.images.batch} images in a call, and figures are of one image in a call.",
            "Export it with a batch size of 1, or for any number of images (dynamic axes).",
            str(error),
        ) from error
    opened.notes.append(
        f"It declares {form.images.batch} images in a call and takes any number; so do files that are made from it."
    )
    return opened


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


def _cause(error: EspalierError) -> Exception:
    return error.__cause__ if isinstance(error.__cause__, Exception) else error


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
    _check_mode(model, name)
    images = images_of(model, name)
    answers = answers_of(model, name, classes, output)
    model, notes = standard_form(model, images, answers)
    if beside:
        notes.insert(
            0, f"Its weights lie beside it, in {', '.join(beside)}; files that are made from it hold them."
        )
    return Form(model, images, answers, bool(notes), notes)


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


def _check_mode(model: "onnx.ModelProto", file: str) -> None:
    """See that the file was not exported in training mode.

    Raises:
        EspalierError: when its dropout draws random numbers, or its batch normalisation computes with the images of the call.
    """
    switched_on = _true_constants(model)
    training = [
        f"{node.op_type} {node.name or node.output[0]}"
        for graph in graphs_of(model.graph) for node in graph.node
        if (node.op_type == "BatchNormalization" and any(one.name == "training_mode" and one.i for one in node.attribute))
        or (node.op_type == "Dropout" and switched_on & set(node.input[2:3]))
    ]  # fmt: skip
    if training:
        more = f" and {len(training) - 3} more" if len(training) > 3 else ""
        raise EspalierError(
            f"{file} was exported in training mode: {', '.join(training[:3])}{more} draw random numbers, or compute with the "
            "other images of the call.",
            "Export it in evaluation mode (model.eval()).",
        )


def _true_constants(model: "onnx.ModelProto") -> set[str]:
    """Names of the constants that are true."""
    from onnx import numpy_helper

    named = [(tensor.name, tensor) for tensor in model.graph.initializer]
    for graph in graphs_of(model.graph):
        for node in graph.node:
            if node.op_type == "Constant":
                named += [(node.output[0], one.t) for one in node.attribute if one.HasField("t")]
    return {
        name for name, tensor in named
        if tensor.data_type == tensor.BOOL and tensor.data_location == 0 and numpy_helper.to_array(tensor).all()
    }  # fmt: skip


def _preparing(
    file: str, form: Form, metadata: Mapping[str, str], given: Mapping[str, Any] | None
) -> Preprocess:
    """How images are prepared for the model in its usual form.

    Raises:
        EspalierError: when nothing says it, or it gives images of another size than the file takes.
    """
    images = form.images
    if given is None and _holds_own_preprocessing(metadata):
        given = Preprocess.from_json(metadata["preprocess"]).as_dict()
    if given is None and images.kind == "uint8" and images.size is not None:
        given = Preprocess(images.size).as_dict()
    if given is None:
        raise unprepared(file, images.size)
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


def _holds_own_preprocessing(metadata: Mapping[str, str]) -> bool:
    """Whether metadata say in this program's words how images are prepared; other programs use the name too."""
    if not _holds_json(metadata, "preprocess"):
        return False
    content = json.loads(metadata["preprocess"])
    return isinstance(content, dict) and content.keys() == Preprocess(1).as_dict().keys()


def _holds(metadata: Mapping[str, str], name: str, content: Any) -> bool:
    return _holds_json(metadata, name) and json.loads(metadata[name]) == content
