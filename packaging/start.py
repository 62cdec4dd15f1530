"""Where the packaged programs begin: as a child process, as the process of a run, as the command line, or as the window.

Both programs run this file. PyInstaller's loader has put its own folder into LD_LIBRARY_PATH by now.
"""

import multiprocessing
import os
import sys
from pathlib import Path

# Where distributions keep the certificates of the web; Python only knows its build machine's place.
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


def main() -> int:
    """Run what this process is for; the exit status."""
    multiprocessing.freeze_support()
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # from 1.29 on ONNX Runtime reports to its makers
    _give_streams()
    _give_back_library_path()
    from core.machine.child import child_main, is_child
    from core.machine.processes import RUN_FLAG, SCRIPT_FLAG

    if is_child(sys.argv):
        child_main(sys.argv)
    if len(sys.argv) == 3 and sys.argv[1] == RUN_FLAG:
        from core.engine.run_process import main as run_process

        return run_process(sys.argv)
    if len(sys.argv) == 4 and sys.argv[1] == SCRIPT_FLAG:
        return _run_script(sys.argv[2:])
    _find_certificates()
    if Path(sys.executable).stem == "espalier-window":
        from gui.app import main as window

        return window()
    from core.commands.main import main as command_line

    return command_line()


def _run_script(words: list[str]) -> int:
    """Run one of the program's own scripts as Python would: its folder first on the path, its arguments in place."""
    import runpy

    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")
    return 0


def _give_streams() -> None:
    """A windowed program on Windows has no streams; libraries that print expect some."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def _give_back_library_path() -> None:
    """Programs of the system that we start (a browser, a file manager) need the system's libraries.

    Our own children find the path gone too, so the loader is told to set it for them afresh.
    """
    if sys.platform == "linux":
        os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
        before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
        if before:
            os.environ["LD_LIBRARY_PATH"] = before
        else:
            os.environ.pop("LD_LIBRARY_PATH", None)


def _find_certificates() -> None:
    """Point Python's downloads at this system's certificates, unless someone has done so."""
    if sys.platform != "win32" and "SSL_CERT_FILE" not in os.environ:
        found = next((path for path in _CERTIFICATES if Path(path).is_file()), None)
        if found:
            os.environ["SSL_CERT_FILE"] = found


if __name__ == "__main__":
    sys.exit(main())
