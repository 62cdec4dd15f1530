"""A format is one file and one line: one that a test adds is seen everywhere, with nothing else edited."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from additions import quick_run, register_in_children
from new_formats import PackedOnnx
from pydantic import ValidationError

from core.commands.main import main
from core.common.declarations import declarations
from core.common.errors import EspalierError
from core.deploy.formats.catalogue import FORMATS, format_for
from core.deploy.formats.settings import ExportSettings
from core.export.export import export_stage, reason_against, suggested_name
from core.runs.home import Home
from core.runs.run_folder import RunFolder

IN_CHILDREN = """
from core.deploy.formats.catalogue import FORMATS
from new_formats import PackedOnnx

FORMATS["packed"] = PackedOnnx()
"""
TEXT = """
espalier: 1
name: New format
data: {source: fashion-mnist-sample, image_size: 16, train_images: 64, validation_images: 32, test_images: 50}
sources: [{id: net, settings: {backbone: resnet20}}]
stages: [{id: fp32, kind: train, settings: {training: {epochs: 1, batch_size: 32}}}]
"""


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, PackedOnnx.id, PackedOnnx())  # the one line
        register_in_children(patch, tmp_path_factory.mktemp("children"), Path(__file__).parent, IN_CHILDREN)
        yield


@pytest.fixture(scope="module")
def finished(registered: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, RunFolder]:
    home = Home(tmp_path_factory.mktemp("home"))
    return home, quick_run(TEXT, home)


def test_the_form_and_its_checks_know_it() -> None:
    [field] = [field for field in declarations(ExportSettings) if field.name == "format"]
    assert field.kind == "choice" and dict(field.choices)["packed"].startswith(
        "Packed ONNX (.onnx.gz): for slow"
    )
    assert ExportSettings.parse({"format": "packed"}).format == "packed"
    with pytest.raises(ValidationError, match="' or 'packed'"):
        ExportSettings.parse({"format": "gguf"})


def test_the_end_of_a_name_asks_for_it() -> None:
    assert format_for(Path("a.onnx.gz")).id == "packed"
    with pytest.raises(EspalierError, match=r"\.gz, received"):
        format_for(Path("a.txt"))


def test_the_command_line_offers_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert ",packed}" in capsys.readouterr().out


def test_a_stage_is_exported_opened_again_and_verified(
    finished: tuple[Home, RunFolder], tmp_path: Path
) -> None:
    _, run = finished
    report = run.report("fp32")
    assert report is not None and report.main is not None
    settings = ExportSettings.parse({"format": "packed", "latency": True, "card": True})
    assert suggested_name(report, report.main, settings) == "fp32-float32.gz"
    against = settings.model_copy(update={"preprocessing": True})
    assert "keeps the run's own" in reason_against(run, report, report.main, against)
    target = tmp_path / "out" / "model.gz"
    result = export_stage(run, "fp32", "", target, settings)
    assert gzip.decompress(target.read_bytes()) == (run.folder / report.main.path).read_bytes()
    assert result.ladder[-1].good and result.verification.agreement == 100.0
    assert "unpacked" in result.metrics["latency_ms"].how and "Packed ONNX (.onnx.gz)" in result.card


def test_the_command_line_exports_it(
    finished: tuple[Home, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, run = finished
    monkeypatch.setenv("ESPALIER_HOME", str(home.folder))
    target = tmp_path / "other.gz"
    arguments = [
        "export",
        str(run.folder),
        "--stage",
        "fp32",
        "--out",
        str(target),
        "--format",
        "packed",
        "--no-latency",
    ]
    assert main(arguments) == 0 and target.is_file()
