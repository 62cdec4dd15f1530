"""A person's own network: a function in a Python file that makes it. Readable without torch.

The file is run only while its content is on the person's trust list (`core.machine.trusted_files`); everything it
needs besides installed packages has to be in it. Once opened, the network is a backbone called
`python:HASH`, the hash being that of the file and of how its function is called, so that every
stage, checkpoint and cache treats it as any other. A checkpoint keeps a copy of the file
(`network.py`) and of the call (`network.json`); opening it asks the trust list again.
"""

import hashlib
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import field_validator

from core.common import yaml
from core.common.command_lines import command_line
from core.common.errors import EspalierError
from core.common.params import Params, param
from core.common.paths import resolved, shown_name
from core.common.regular_files import in_words, read_bounded
from core.data.preprocess import HALF, IMAGENET, Normalisation
from core.machine.site_policy import site_policy
from core.machine.trusted_files import TrustList
from core.models.backbone import OWN, Backbone
from core.models.checkpoint_files import CALL, CODE
from core.models.process_settings import process_settings_kept
from core.models.settings import BackboneSettings

_LARGEST = 16_000_000  # bytes of a Python file
_IMAGE_SIZE = 224  # px, where nothing says how large the images are


class PythonSettings(Params):
    """A network from a person's own Python file."""

    path: str = param(
        ...,
        "Python file",
        "A file that imports nothing but installed packages. It is run only after you said that you trust it.",
        path="file:Python (*.py)",
        min_length=1,
    )
    factory: str = param(
        "make_network",
        "Function",
        "The function or class in the file that makes the network: images [b, 3, s, s] to logits "
        "[b, classes]. Of several outputs (auxiliary classifiers) the logits are found and the others dropped.",
        pattern=r"^[^\W\d]\w*$",
    )
    classes_argument: str = param(
        "num_classes",
        "Classes go in as",
        "Keyword of the function that takes the number of classes; empty where it takes none.",
        pattern=r"^([^\W\d]\w*)?$",
    )
    arguments: str = param(
        "",
        "Arguments",
        "Further keyword arguments in YAML: {depth: 20, width: 1.5, norm: batch}. Empty for none.",
    )
    blocks: str = param(
        "",
        "Residual blocks",
        "Class names of the network's residual blocks, separated by commas; block-internal pruning and "
        "dropping of blocks look for them.",
    )
    normalisation: Literal["data", "imagenet", "half"] = param(
        "data",
        "Normalisation",
        "What images are normalised by.",
        choices={
            "data": "Mean and deviation of the training images.",
            "imagenet": "Mean (0.485, 0.456, 0.406), deviation (0.229, 0.224, 0.225).",
            "half": "0.5 and 0.5: the range −1…1.",
        },
    )
    weights_file: str = param(
        "",
        "Weights file",
        "State dict with the network's own names; empty starts from what the function gives. "
        "Relative paths start at the pipeline's file.",
        path="file:Weights (*.pth *.pt *.th *.bin *.ckpt *.safetensors *.index.json)",
    )
    fresh_head: bool = param(
        False,
        "Fresh classifier",
        "Leave the file's classifier out and start with a new one, for another set of classes.",
    )
    averaged: bool = param(
        False,
        "Averaged weights",
        "Take the averaged (EMA) weights of a training checkpoint that holds them beside the plain ones.",
        advanced=True,
    )
    cut_softmax: bool = param(
        False,
        "Cut the softmax",
        "Take a softmax or sigmoid at the network's end away, so that it gives logits: losses and files apply their own. A "
        "network that ends in one is refused without it.",
    )
    trusted_sha256: str = param(
        "",
        "SHA-256",
        "Hash of the Python file that this pipeline was made with; another file is refused. Empty takes any.",
        pattern=r"^([0-9a-f]{64})?$",
        advanced=True,
    )

    @field_validator("arguments")
    @classmethod
    def _are_a_mapping(cls, text: str) -> str:
        _arguments(text)
        return text

    @property
    def block_names(self) -> tuple[str, ...]:
        """Class names of the residual blocks."""
        return tuple(block.strip() for block in self.blocks.split(",") if block.strip())

    def normalise(self) -> Normalisation | None:
        """Mean and deviation, or None for the training images' own."""
        return {"data": None, "imagenet": IMAGENET, "half": HALF}[self.normalisation]


@dataclass(frozen=True, slots=True)
class PythonNetwork:
    """A file's content and how its function is called.

    Attributes:
        file: its name, for messages.
        arguments: keyword arguments besides the number of classes.
        cut_softmax: a softmax at its end is cut.
    """

    code: bytes
    file: str
    factory: str
    classes_argument: str
    arguments: Mapping[str, bool | int | float | str | None]
    blocks: tuple[str, ...] = field(default=())
    cut_softmax: bool = False

    @property
    def name(self) -> str:
        """`python:HASH`, of everything that makes the network what it is."""
        content = hashlib.sha256(self.code).hexdigest() + json.dumps(self.call(), sort_keys=True)
        return OWN + hashlib.sha256(content.encode()).hexdigest()

    @property
    def shown_file(self) -> str:
        """What a person called the file, of which runs open a copy."""
        return shown_name(Path(self.file))

    def call(self) -> dict[str, Any]:
        """All but the code, as JSON data."""
        settings = {name: value for name, value in asdict(self).items() if name != "code"}
        if not self.cut_softmax:  # as networks were called before there was this setting
            del settings["cut_softmax"]
        return json.loads(json.dumps(settings))

    def backbone(self) -> Backbone:
        """The network as an entry of the catalogue."""
        return Backbone(
            id=self.name, title=f"{self.factory} of {self.shown_file}", help="A network of your own.",
            factory="python_network:python_network", arguments={"name": self.name}, image_size=_IMAGE_SIZE,
            smallest=1, names=(), blocks=self.blocks,
        )  # fmt: skip


_opened: dict[str, tuple[PythonNetwork, Callable[..., Any]]] = {}  # by name, in this process


def open_python(settings: PythonSettings, base: Path, trusted: TrustList) -> BackboneSettings:
    """Run a person's file, and give the network settings that stand for it in checkpoints.

    Raises:
        EspalierError: when the file is missing, is not the one named by its hash, is not trusted,
            or has no such function.
    """
    path = resolved(settings.path, base)
    code = _read(path)
    digest = hashlib.sha256(code).hexdigest()
    if settings.trusted_sha256 not in ("", digest):
        raise EspalierError(
            f"{path} is not the file that this pipeline was made with: its SHA-256 is {digest}, "
            f"expected {settings.trusted_sha256}.",
            "Put the former file back, or take its hash out of the settings if you want the new one.",
        )
    network = PythonNetwork(
        code, path.name, settings.factory, settings.classes_argument, _arguments(settings.arguments),
        settings.block_names, settings.cut_softmax,
    )  # fmt: skip
    return BackboneSettings(backbone=_open(network, path, trusted))


def load_factory(code: bytes, path: Path, name: str, trusted: TrustList) -> Callable[..., Any]:
    """Run a file's content and give its function `name`.

    Args:
        code: what was read from `path`, so that what is run is what was asked about.

    Raises:
        EspalierError: when the machine's policy forbids it, or the content is not on the trust list, fails, or has
            no such function.
    """
    site_policy().allow_python(path)
    if not trusted.knows(code):
        raise EspalierError(
            f"{path} is Python code, which can do anything that you can do, so it was not run: "
            "it is not on your list of trusted files.",
            "Look through it, and say that you trust it.",
            command=command_line("trust", path),
        )
    from core.models.torchvision_shim import import_torchvision

    import_torchvision()  # the file, or what it imports, may want it
    module = ModuleType(f"espalier_{hashlib.sha256(code).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and the like look themselves up
    try:
        with process_settings_kept(path):
            exec(compile(code, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise EspalierError(
            f"{shown_name(path)} stopped while it was being opened: {type(error).__name__}: {error}.",
            "Correct the file. It has to hold all that it needs besides installed packages.",
            traceback.format_exc(),
        ) from error
    factory = getattr(module, name, None)
    if not callable(factory):
        there = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
        raise EspalierError(
            f"Expected a function or class {name!r} in {shown_name(path)}, found none.",
            f"It has {', '.join(there)}." if there else "It has no function at all.",
        )
    return factory


def opened(name: str) -> Backbone:
    """The entry of a network whose file was opened in this process.

    Raises:
        EspalierError: when it was not.
    """
    if name not in _opened:
        raise EspalierError(
            "The network is a person's own, and its Python file has not been opened.",
            "Open it through its source or a checkpoint, which keeps a copy of the file.",
        )
    return _opened[name][0].backbone()


def call_factory(name: str, classes: int) -> Any:
    """What the function of an opened file gives for `classes` classes.

    Raises:
        EspalierError: when the function fails.
    """
    network, factory = _opened[name]
    counted = {network.classes_argument: classes} if network.classes_argument else {}
    try:
        with process_settings_kept(network.file):
            return factory(**counted, **network.arguments)
    except (Exception, SystemExit) as error:
        raise EspalierError(
            f"{network.factory} of {network.shown_file} stopped: {type(error).__name__}: {error}.",
            f"It was called with {counted | dict(network.arguments)}. Correct the file or the settings.",
            traceback.format_exc(),
        ) from error


def cuts_softmax(name: str) -> bool:
    """Whether a person agreed that a softmax at the end of an opened network is cut."""
    return _opened[name][0].cut_softmax


def keep_copy(name: str, folder: Path) -> None:
    """Write the file and the call of an opened network into a checkpoint's folder."""
    network = _opened[name][0]
    (folder / CODE).write_bytes(network.code)
    (folder / CALL).write_text(json.dumps(network.call(), indent=1), encoding="utf-8")


def open_copy(name: str, folder: Path, trusted: TrustList) -> None:
    """Open the network that a checkpoint's folder keeps.

    Raises:
        EspalierError: when the copy was changed, or is not trusted.
    """
    code = _read(folder / CODE)
    try:
        call = json.loads(read_bounded(folder / CALL, _LARGEST))
        network = PythonNetwork(code, **{**call, "blocks": tuple(call["blocks"])})
        same = network.name == name
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EspalierError(
            f"Expected {CALL} in {folder}, found none that can be read.", "", repr(error)
        ) from error
    if not same:
        raise EspalierError(
            f"The network's code in {folder} was changed after the checkpoint was written.",
            "Run its stage again.",
        )
    _open(network, folder / CODE, trusted)


def _open(network: PythonNetwork, path: Path, trusted: TrustList) -> str:
    name = network.name
    if name not in _opened or not trusted.knows(network.code):
        _opened[name] = network, load_factory(network.code, path, network.factory, trusted)
    return name


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _LARGEST)
    except OSError as error:
        raise EspalierError(
            f"Expected a Python file at {path}, found none that can be read: {in_words(error)}.",
            "Pick the file again.",
        ) from error


def _arguments(text: str) -> dict[str, Any]:
    """Keyword arguments from YAML: names with numbers, texts, switches or nothing."""
    parsed = yaml.parse(text) if text.strip() else None
    content = parsed.content if parsed else {}
    plain = isinstance(content, dict) and all(
        isinstance(name, str) and name.isidentifier() and isinstance(value, bool | int | float | str | None)
        for name, value in content.items()
    )
    if (parsed and parsed.problems) or not plain:
        raise ValueError(
            f"expected names with numbers, texts or switches, as {{depth: 20, width: 1.5}}; received {text!r}"
        )
    return content
