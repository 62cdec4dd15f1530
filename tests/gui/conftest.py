"""Every test gets fresh settings and folders, and fails on Qt warnings and leftover threads."""

from editing import tree  # noqa: F401
from inspecting import finished, opened, place  # noqa: F401
from model_files import weights  # noqa: F401
from running import work  # noqa: F401
from window_fixtures import (  # noqa: F401
    fresh_folders,
    garbage_of_windows,
    home,
    make_window,
    no_unanswered_dialog,
    no_warnings_no_threads,
    qapp,
    theme,
    tiny,
    tiny_window,
    tool,
    window,
)
