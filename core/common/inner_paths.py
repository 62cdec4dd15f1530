"""Paths and names in declared data that must not lead out of the folder they belong to."""

from typing import Annotated

from pydantic import AfterValidator

from core.common.paths import inner_name, inner_path

InnerPath = Annotated[str, AfterValidator(inner_path)]
"""A path in a file of a folder: it stays within that folder."""
InnerName = Annotated[str, AfterValidator(inner_name)]
"""A text that a file or folder is called by: it names no other folder. May be empty."""
