"""The files of a data set's images, by their place in it."""

import logging
from pathlib import Path

from core.common.errors import EspalierError
from core.common.paths import printable
from core.data.catalogue import find_source
from core.data.image_data import ImageData
from core.data.settings import DataSettings, settings_path
from core.data.source import Watch

_log = logging.getLogger(__name__)


def image_names(
    data: ImageData, settings: DataSettings, base: Path, watch: Watch | None = None
) -> tuple[str, ...]:
    """The file of every image of `data`, below the data set's place; empty where its images are no files of their own,
    or the files have changed since. Lists the place, so not for the window's thread.

    Raises:
        Stopped: a person asked to stop.
    """
    place = settings_path(settings.path, base)
    try:
        contents = find_source(settings.source).locate(place, watch or Watch()).open()
    except (EspalierError, OSError) as error:
        _log.debug("The names of the images are not known: %s", error)
        return ()
    unreadable = {path for path, _ in data.problems}
    readable = (printable(name) for name in contents.pictures.names)
    names = tuple(name for name in readable if name not in unreadable)
    return names if len(names) == len(data.images) else ()
