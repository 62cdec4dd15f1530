"""The files in a stage's folder of a run.

`result.json` and `checkpoint/` (a network), `deployed/` (a file that the stage made itself), or both;
`artefacts/` (the files that can be deployed, with their predictions); `report.json`. A manifest
(`core.common.content_hashes`) beside `result.json` has the hashes of what the stage made, one in `artefacts/` those of its files.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from core.common.content_hashes import read_sealed, write_sealed
from core.common.errors import EspalierError
from core.deploy.artefact_folder import ArtefactFolder
from core.models.checkpoint_files import CHECKPOINT, is_checkpoint
from core.records.reports import StageReport
from core.records.stage_outcome import StageOutcome


@dataclass(frozen=True, slots=True)
class StageFolder:
    """One stage's folder; its parts may not be there yet."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The folder that the stage's network is saved in."""
        return self.path / CHECKPOINT

    @property
    def network(self) -> Path | None:
        """The same, where the stage left a network."""
        return self.checkpoint if is_checkpoint(self.checkpoint) else None

    @property
    def deployed(self) -> Path:
        """The folder of a file that the stage made itself."""
        return self.path / "deployed"

    def deployed_as(self, precision: str) -> Path:
        """The file that the stage made itself in a precision."""
        return self.deployed / f"{precision}.onnx"

    @property
    def deployed_file(self) -> Path | None:
        """The file that the stage made itself, where it made one."""
        return next(self.deployed.glob("*.onnx"), None)

    @property
    def artefacts(self) -> ArtefactFolder:
        """The files that can be deployed and their predictions."""
        return ArtefactFolder(self.path / "artefacts")

    @property
    def outcome_file(self) -> Path:
        """Written last: it marks the stage as complete."""
        return self.path / "result.json"

    @property
    def complete(self) -> bool:
        """Whether the stage has made its network or file."""
        return self.outcome_file.is_file()

    @property
    def outcome(self) -> StageOutcome:
        """The outcome that the stage recorded."""
        return StageOutcome.read(self.outcome_file)

    def write_outcome(self, outcome: StageOutcome) -> None:
        """Record the outcome; the stage is then complete."""
        outcome.write(self.outcome_file)

    @property
    def report_file(self) -> Path:
        """The finished stage's report."""
        return self.path / "report.json"

    @property
    def report(self) -> StageReport | None:
        """The report, once the stage is evaluated.

        Raises:
            EspalierError: when the file is no report, or names files outside the run.
        """
        file = self.report_file
        if not file.is_file():
            return None
        try:
            return StageReport.model_validate(read_sealed(file))
        except ValueError as error:
            raise EspalierError(
                f"Expected a stage's report in {file}, received something else.",
                "Go on with its run, which writes it again, or delete the file.",
                str(error),
                "espalier run RUN --resume",
            ) from error

    def write_report(self, report: StageReport) -> None:
        """Write the report whole or not at all."""
        write_sealed(self.report_file, json.loads(report.model_dump_json()))
