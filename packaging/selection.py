"""What goes into the package and what stays out: one place for every such decision.

PyInstaller follows the imports that it can read. What it cannot read (imports by name) is listed in
`WHOLE_PACKAGES`; what it takes along and nobody needs is refused by `wanted_module` and `wanted_file`.
"""

import re
import sys
from pathlib import Path

# Imported by name at run time, so that no import statement leads there.
WHOLE_PACKAGES = (
    "core", "gui", "torchvision", "timm", "torch_pruning", "onnxscript", "onnxruntime.quantization",
    "onnxruntime.transformers", "onnxconverter_common", "optuna",
)  # fmt: skip

# Single modules, likewise: the figures for print are drawn by what their file's ending names.
NAMED_MODULES = tuple(f"matplotlib.backends.backend_{name}" for name in ("agg", "pdf", "svg"))

# Decorators of these read the source text of functions (`inspect.getsource`); onnxruntime.transformers puts its
# own folder on the search path and imports its files from there.
READ_THEIR_OWN_SOURCE = ("torch", "torchvision", "timm", "onnxscript", "onnxruntime.transformers")

# Asked for their version or entry points at run time (`importlib.metadata`).
METADATA = (
    "torch", "torchvision", "torch-pruning", "timm", "onnx", "onnxscript", "onnx-ir", "onnxruntime",
    "onnxconverter-common", "numpy", "pillow", "pydantic", "pydantic-core", "PyYAML", "safetensors",
    "platformdirs", "filelock", "optuna", "psutil", "rich", "PySide6-Essentials", "shiboken6", "pyqtgraph",
    "huggingface-hub", "packaging", "tqdm",
)  # fmt: skip

EXCLUDED_MODULES = [
    "readline", "curses", "tkinter", "IPython", "pytest", "tensorboard", "tensorflow", "pandas", "scipy", "jupyter",
    "setuptools", "pip", "pkg_resources", "hf_xet", "expecttest", "hypothesis", "triton", "lib2to3", "pydoc_data",
    "PySide6.QtQml", "PySide6.QtQuick", "PySide6.QtQuickWidgets", "PySide6.QtDesigner", "PySide6.QtUiTools",
    "PySide6.QtHelp", "PySide6.QtTest", "PySide6.QtSql", "PySide6.QtNetwork", "pyqtgraph.examples", "pyqtgraph.opengl",
]  # fmt: skip

_UNWANTED_MODULE = re.compile(
    r"(^|\.)(tests?|testing_utils|conftest)(\.|$)"
    r"|^torchvision\.(datasets|io|prototype)(\.|$)"
    r"|^onnxscript\.(testing|backend)(\.|$)|^onnxruntime\.transformers\.models(\.|$)"
)

# PyTorch's own tests, all but the parts that the rest of PyTorch imports.
_TESTS_OF_TORCH = re.compile(
    r"^torch\.testing\._internal\.(?!(logging_tensor|common_dtype|distributed|distributed\.fake_pg|optests(\..*)?)$)"
)

# Paths inside the package, with forward slashes. GTK's platform theme would load the system's GTK into
# our older GLib; Qt's own dialogs and the desktop portal do without.
_UNWANTED_FILE = re.compile(
    r"^torch/(include|share|test)/|^torch/bin/(?!torch_shm_manager)|^torch/lib/.*\.(a|lib)$"
    r"|^torch/lib/lib(torchbind_test|jitbackend_test|backend_with_compiler|aoti_custom_ops)\."
    r"|\.(h|hpp|cuh|cmake|pyi|pxd|a)$"
    r"|(^|/)tests?/|/__pycache__/"
    r"|^PySide6/Qt/(translations|qml|metatypes|libexec|resources)/"
    r"|^PySide6/(typesystems|glue|include|scripts|doc)/"
    r"|libQt6(Quick|Qml|VirtualKeyboard|Pdf|Designer|Test|Sql|Labs|Multimedia|Charts|ShaderTools|Egl|Network)\w*\."
    r"|/plugins/(qmltooling|sqldrivers|designer|virtualkeyboard|multimedia|generic|egldeviceintegrations"
    r"|networkinformation|tls)/"
    r"|/platforminputcontexts/libqtvirtualkeyboard|/platforms/lib(qvnc|qeglfs|qlinuxfb|qvkkhrdisplay|qminimalegl)"
    r"|/platformthemes/libqgtk3|/imageformats/.*(qpdf|qtiff|qtga|qwbmp|qicns|qwebp)"
    r"|^docs/(examples|research)/"
)

# Libraries that every Linux desktop has, and whose own copy would not fit its drivers and settings.
_OF_THE_SYSTEM = re.compile(
    r"^lib(stdc\+\+|gcc_s|expat|fontconfig|X11|X11-xcb|Xau|Xdmcp|Xext|Xrender|bsd|md|drm|dbus-1|systemd|gcrypt"
    r"|gpg-error|cap|wayland-\w+)\.so|^libfreetype\.so"
)

# torchvision's wheel from PyPI is built for CUDA: its operators cannot load beside a CPU torch, and the
# program declares the two that it needs (core/models/torchvision_shim.py).
_NOT_FOR_PROCESSORS = re.compile(
    r"^torchvision/.*\.so$|^torchvision\.libs/|^(nvidia|triton)/|(^|/)lib(cudart|nvjpeg|cublas|cudnn)"
)


def wanted_module(name: str) -> bool:
    """Whether a module that no import statement leads to is taken along."""
    return not _UNWANTED_MODULE.search(name)


def wanted_code(name: str) -> bool:
    """Whether a module that PyInstaller found is taken along, as code and as source text."""
    return not _TESTS_OF_TORCH.search(name)


def wanted_file(path: str, cpu: bool) -> bool:
    """Whether a file goes into the package, by its path inside; `cpu`: the flavour for processors."""
    plain = path.replace("\\", "/")
    if _UNWANTED_FILE.search(plain) or _OF_THE_SYSTEM.search(plain):
        return False
    if plain.endswith(".py") and not wanted_code(
        plain.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    ):
        return False
    return not (cpu and _NOT_FOR_PROCESSORS.search(plain))


def version_of(source: Path) -> str:
    """The version that `core` says, read without importing it."""
    found = re.search(
        r'^__version__ = "([^"]+)"', (source / "core" / "__init__.py").read_text(), re.MULTILINE
    )
    if not found:
        sys.exit('Expected a line __version__ = "…" in core/__init__.py, found none.')
    return found[1]
