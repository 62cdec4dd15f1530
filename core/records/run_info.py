"""What `run.json` says of a run: where it came from, where it ran, how it ended, what a person calls it."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

FORMAT = 1

RunStatus = Literal["new", "running", "completed", "stopped", "failed"]


class RunInfo(BaseModel):
    """The content of one `run.json`, read leniently: only `format` must be right to open the run.

    A status that this version does not know counts as "new", a machine that is no mapping as unknown.

    Attributes:
        format: of the run folder. espalier: the version that made it.
        base: the folder that the pipeline's relative paths start from.
        started: seconds since 1970; 0 where unknown. seconds: of work so far; None where it has not ended yet.
        document: the pipeline as the person wrote it; of several data sets, on that of this run.
        series: the same in all runs that one pipeline over several data sets was started as; else "".
        pipeline_sha256: of pipeline.yaml as it was written.
        data: what identifies the images that it was started with (`Opened.as_plain` of `core.data.image_data`).
        process_seconds: how long its tool process took to start and to load PyTorch; 0 where that is not known.
        machine: the fingerprint of the machine that ran it. device, threads: what it ran on.
        message: how the run ended, in a sentence. paused: a person holds a run that goes on.
        process: number (`pid`) and `host` of the process that works or worked in the folder last.
        pipeline_name: of the pipeline, where the person has given the run a `name` of its own.
        deleted: when it was moved to the trash, seconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    format: int | str | None = None
    espalier: str = ""
    name: str = ""
    base: str = "."
    started: float = 0.0
    status: RunStatus = "new"
    document: str = ""
    series: str = ""
    pipeline_sha256: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    process_seconds: float = 0.0
    machine: dict[str, Any] = Field(default_factory=dict)
    device: str = ""
    threads: int = 0
    seconds: float | None = None
    message: str = ""
    paused: bool = False
    process: dict[str, Any] = Field(default_factory=dict)
    pipeline_name: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    deleted: float | None = None

    @field_validator("status", mode="before")
    @classmethod
    def _known_status(cls, value: Any) -> Any:
        return value if value in get_args(RunStatus) else "new"

    @field_validator("machine", "process", "data", mode="before")
    @classmethod
    def _known_mapping(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {}

    @field_validator("started", "process_seconds", mode="before")
    @classmethod
    def _known_start(cls, value: Any) -> Any:
        return value or 0.0

    @property
    def pipeline_title(self) -> str:
        """The pipeline's name, whatever the run is called."""
        return self.pipeline_name or self.name


def changed(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The content of a `run.json` with some entries changed; None takes an entry out.

    Entries that this version does not know, or not fully, stay as they are.

    Raises:
        TypeError: on a name that `run.json` has not.
        ValueError: on a value that does not fit.
    """
    if unknown := sorted(changes.keys() - RunInfo.model_fields.keys()):
        raise TypeError(f"Expected entries of run.json, received {', '.join(unknown)}.")
    if "status" in changes and changes["status"] not in get_args(RunStatus):
        raise ValueError(f"Expected one of {', '.join(get_args(RunStatus))}, received {changes['status']!r}.")
    merged = {
        name: value
        for name, value in {**content, **changes}.items()
        if name not in changes or value is not None
    }
    RunInfo.model_validate(merged)
    return merged
