"""What the administrator of a machine decided for everyone on it: the site policy.

One YAML file that only an administrator can write. Every key may be left out:

    policy: 1
    storage: /scratch/{user}/espalier   # runs and caches; {user} is the person's login name
    downloads: false                    # no ImageNet weights from the web
    threads: 4                          # at most this many threads for training
    device: cpu                         # no GPU; or cuda:1 for that one only; auto leaves it open
    python: false                       # nobody's own Python files are run, trusted or not

A policy that cannot be read stops the program: ignoring it would break a rule that someone set.
`ESPALIER_HOME` goes before `storage`, because a script that sets it knows better where to write.
"""

import functools
import getpass
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from core.common import yaml
from core.common.errors import EspalierError
from core.common.params import Params, param

_ADVICE = "Ask the administrator of this machine."


class Policy(Params):
    """The rules in force; without a file there are none."""

    policy: Literal[1] = param(1, "Format", "The version of this file's format.")
    storage: str = param(
        "", "Storage", "Folder for runs and caches; {user} is replaced by the person's login name."
    )
    downloads: bool = param(True, "Downloads", "Whether weights may be downloaded when a person asks for it.")
    threads: int = param(0, "Threads", "At most this many threads for training; 0 sets no limit.", ge=0)
    device: str = param(
        "auto", "Device", "auto, cpu, or one GPU as cuda:N.", pattern=r"^(auto|cpu|cuda:[0-9]+)$"
    )
    python: bool = param(
        True,
        "Own Python files",
        "Whether networks from people's own Python files may be run, which can do anything.",
    )

    def home(self) -> Path | None:
        """The folder for this person's runs and caches, or None where the policy names none."""
        if not self.storage:
            return None
        return Path(self.storage.replace("{user}", getpass.getuser()))

    def threads_for(self, requested: int, usual: int) -> int:
        """The threads to take: those asked for (0: the usual number, within the limit).

        Raises:
            EspalierError: when more are asked for than the policy allows.
        """
        if self.threads and requested > self.threads:
            raise EspalierError(
                f"This machine's policy allows at most {self.threads} threads, {requested} were asked for.",
                f"Ask for at most {self.threads}. {_ADVICE}",
            )
        return requested or (min(usual, self.threads) if self.threads else usual)

    def device_for(self, requested: str) -> str:
        """The device to take, "auto" where neither the person nor the policy decides.

        The processor is always allowed: a policy for one GPU keeps people off the others.

        Raises:
            EspalierError: when another device is asked for than the policy allows.
        """
        if self.device == "auto" or requested in ("cpu", self.device):
            return requested
        if requested == "auto" or (requested == "cuda" and self.device != "cpu"):
            return self.device
        raise EspalierError(
            f"This machine's policy allows the device {self.device!r}, {requested!r} was asked for.",
            f"Choose the device 'auto' or {self.device!r}. {_ADVICE}",
        )

    def allow_download(self, what: str) -> None:
        """Nothing where downloads are allowed.

        Raises:
            EspalierError: when the policy forbids them.
        """
        if not self.downloads:
            raise EspalierError(
                f"This machine's policy allows no downloads, and {what} would be downloaded.",
                f"Choose a file that is here already. {_ADVICE}",
            )

    def allow_python(self, path: Path) -> None:
        """Nothing where people's own Python files may be run.

        Raises:
            EspalierError: when the policy forbids it.
        """
        if not self.python:
            raise EspalierError(
                f"This machine's policy runs nobody's own Python files, and {path} is one.",
                f"Start from a backbone, a checkpoint or an ONNX file. {_ADVICE}",
            )


def system_path() -> Path:
    """Where the administrator puts the file on this platform."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "Espalier" / "policy.yaml"
    if sys.platform == "darwin":
        return Path("/Library/Application Support/Espalier/policy.yaml")
    return Path("/etc/espalier/policy.yaml")


@functools.cache
def site_policy() -> Policy:
    """The policy of this machine, read once.

    Raises:
        EspalierError: when there is a file that cannot be read or does not say what a policy says.
    """
    return read_policy(system_path())


def read_policy(path: Path) -> Policy:
    """The policy in a file; no rules where there is no file.

    Raises:
        EspalierError: naming the file, the line and what was expected there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Policy()
    except (OSError, UnicodeDecodeError) as error:
        raise EspalierError(
            f"The site policy {path} cannot be read: {getattr(error, 'strerror', None) or error}.", _ADVICE
        ) from error
    parsed = yaml.parse(text)
    if parsed.problems:
        raise EspalierError(f"In the site policy {path}, {parsed.problems[0]}", _ADVICE)
    content = {} if parsed.content is None else parsed.content
    if not isinstance(content, dict):
        raise EspalierError(
            f"Expected names and values in the site policy {path}, received {type(content).__name__}.",
            _ADVICE,
        )
    try:
        policy = Policy.parse(content)
    except ValidationError as error:
        raise EspalierError(_in_words(path, parsed, content, error), _ADVICE, str(error)) from error
    _check_storage(path, policy)
    return policy


def _in_words(path: Path, parsed: yaml.Parsed, content: dict[str, object], error: ValidationError) -> str:
    """One sentence about the first thing that does not fit."""
    first = error.errors()[0]
    key = str(first["loc"][0])
    place = f"line {parsed.line((key,))} of the site policy {path}"
    if key not in Policy.model_fields:
        known = ", ".join(Policy.model_fields)
        return f"Expected one of {known} in {place}, received {key!r}."
    if key == "policy":
        return f"Expected the format 1 in {place}, received {content[key]!r}; a newer Espalier may read it."
    return f"Expected for {key!r} in {place}: {_EXPECTED[key]}; received {content[key]!r}."


_EXPECTED = {
    "storage": "a folder as text",
    "downloads": "true or false",
    "python": "true or false",
    "threads": "a whole number from 0",
    "device": "auto, cpu or cuda:N",
}


def _check_storage(path: Path, policy: Policy) -> None:
    home = policy.home()
    if home is not None and not home.is_absolute():
        raise EspalierError(
            f"Expected an absolute folder for 'storage' in the site policy {path}, received {policy.storage!r}.",
            _ADVICE,
        )
