"""What goes into a package, how its files are listed, and whose licences are told."""

import importlib.util
import sys
from pathlib import Path

import binaries
import build
import contents
import notices
import pytest
import selection


@pytest.mark.parametrize(
    ("path", "cpu", "cuda"),
    [
        ("torch/lib/libtorch_cpu.so", True, True),
        ("torch/bin/torch_shm_manager", True, True),
        ("torch/bin/protoc", False, False),
        ("torch/include/ATen/ATen.h", False, False),
        ("torch/lib/libtorchbind_test.so", False, False),
        ("torch/testing/_internal/common_utils.py", False, False),
        ("torch/testing/_internal/logging_tensor.py", True, True),
        ("torch/testing/_internal/distributed/__init__.py", True, True),
        ("torchvision/_C.so", False, True),
        ("torchvision.libs/libcudart.faf08d9a.so.13", False, True),
        ("nvidia/cudnn/lib/libcudnn.so.9", False, True),
        ("libcudart.so.13", False, True),
        ("PySide6/Qt/plugins/platforms/libqxcb.so", True, True),
        ("PySide6/Qt/plugins/platforms/libqvnc.so", False, False),
        ("PySide6/Qt/plugins/platformthemes/libqgtk3.so", False, False),
        ("PySide6/Qt/lib/libQt6Gui.so.6", True, True),
        ("PySide6/Qt/lib/libQt6Quick.so.6", False, False),
        ("PySide6\\Qt\\translations\\qtbase_de.qm", False, False),
        ("libX11.so.6", False, False),
        ("libxcb-cursor.so.0", True, True),
        ("libfreetype-57f805ba.so.6.20.6", True, True),
        ("libfreetype.so.6", False, False),
        ("numpy/_core/tests/test_array.py", False, False),
        ("resources/recipes/quick-tour.yaml", True, True),
    ],
)
def test_which_files_go_in(path, cpu, cuda):
    assert (selection.wanted_file(path, True), selection.wanted_file(path, False)) == (cpu, cuda)


def test_every_library_that_is_named_exists():
    for name in (*selection.WHOLE_PACKAGES, *selection.READ_THEIR_OWN_SOURCE):
        top, *inner = name.split(".")
        spec = importlib.util.find_spec(top)
        assert spec is not None and spec.submodule_search_locations, name
        assert Path(next(iter(spec.submodule_search_locations)), *inner).is_dir(), name


def test_torch_imports_none_of_its_tests_that_stay_out():
    """The tests of PyTorch that the rest of it imports at the top of a module are let in."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.submodule_search_locations
    root = Path(next(iter(spec.submodule_search_locations)))
    missing = [
        (file.name, line)
        for folder in ("utils", "_refs", "fx", "nn", "optim", "export", "onnx", "ao", "_functorch")
        for file in (root / folder).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("from torch.testing._internal.") and not selection.wanted_code(line.split()[1])
    ]
    assert missing == []


def test_the_list_of_contents(tmp_path):
    folder = tmp_path / "program"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "large").write_bytes(b"x" * 1000)
    (folder / "a").write_bytes(b"y")
    (folder / "twin").hardlink_to(folder / "b" / "large")
    (folder / "link").symlink_to("b/large")
    assert contents.entries(folder) == [
        ("a", 1, ""),
        ("b/large", 1000, ""),
        ("link", 0, "b/large"),
        ("twin", 1000, ""),
    ]
    assert contents.size(folder) == 1001
    contents.write(folder, tmp_path / "list.txt")
    assert (tmp_path / "list.txt").read_text().splitlines()[2] == "           0  link -> b/large"


def test_rights_do_not_depend_on_the_builder(tmp_path):
    (tmp_path / "program").write_text("")
    (tmp_path / "program").chmod(0o700)
    (tmp_path / "text").write_text("")
    (tmp_path / "text").chmod(0o666)
    contents.same_modes(tmp_path)
    assert (tmp_path / "program").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "text").stat().st_mode & 0o777 == 0o644


def test_the_version_is_the_one_that_core_says():
    import core

    assert selection.version_of(build.ROOT) == core.__version__


def test_checksums_are_those_of_the_files(tmp_path):
    (tmp_path / "one.deb").write_bytes(b"abc")
    (tmp_path / "SHA256SUMS").write_text("old")
    build.write_checksums(tmp_path)
    assert (tmp_path / "SHA256SUMS").read_text() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  one.deb\n"
    )


def test_every_library_brings_a_licence(tmp_path):
    """From this test's environment, which holds the same libraries."""
    texts = build.ROOT / "packaging" / "licences"
    (tmp_path / "_internal").mkdir()
    facts = notices.write(tmp_path, Path(sys.prefix), texts)
    text = (tmp_path / "NOTICES.txt").read_text()
    assert facts.libraries > 30 and "PySide6_Essentials 6." in text and "LGPL-3.0" in text
    for name in ("torch", "numpy", "onnxruntime", "Python"):
        files = [path for path in (tmp_path / "licences" / name).iterdir() if path.stat().st_size > 200]
        assert files, name
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in (tmp_path / "licences" / "LGPL-3.0.txt").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' compiled files")
def test_what_compiled_files_need(tmp_path):
    (tmp_path / "python").write_bytes(Path(sys.executable).resolve().read_bytes())
    needs = binaries.needs_of(tmp_path)
    assert "libc.so.6" in needs.libraries and needs.libraries["libc.so.6"] == "python"
    assert (2, 0) < needs.glibc < (3, 0)
