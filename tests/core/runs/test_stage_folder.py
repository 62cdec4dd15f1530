from core.models.checkpoint_files import ARCHITECTURE
from core.records.stage_outcome import StageOutcome
from core.runs.stage_folder import StageFolder


def test_who_lies_where_in_a_stages_folder(tmp_path):
    folder = StageFolder(tmp_path)
    places = {
        "checkpoint": folder.checkpoint, "deployed/int8.onnx": folder.deployed_as("int8"), "result.json": folder.outcome_file,
        "report.json": folder.report_file, "artefacts/float32.onnx": folder.artefacts.float32,
        "artefacts/int8.logits.npy": folder.artefacts.logits("int8"), "artefacts/labels.npy": folder.artefacts.labels,
        "artefacts/pytorch.logits.npy": folder.artefacts.network_logits, "artefacts/made.json": folder.artefacts.record,
    }  # fmt: skip
    assert {path.relative_to(tmp_path).as_posix() for path in places.values()} == set(places)


def test_what_is_there_and_what_is_not(tmp_path):
    folder = StageFolder(tmp_path / "fp32")
    assert (folder.network, folder.deployed_file, folder.report, folder.complete) == (None, None, None, False)
    folder.checkpoint.mkdir(parents=True)
    assert folder.network is None  # an empty folder is no network
    (folder.checkpoint / ARCHITECTURE).write_text("{}")
    folder.deployed.mkdir()
    folder.deployed_as("int8").touch()
    folder.write_outcome(StageOutcome(training_seconds=1.0, params=2, nonzero_params=1))
    assert folder.network == folder.checkpoint and folder.deployed_file == folder.deployed_as("int8")
    assert folder.complete and folder.outcome.params == 2
