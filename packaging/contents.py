"""The list of everything inside a package: path, size, kind; the same for the same sources."""

from pathlib import Path


def entries(folder: Path) -> list[tuple[str, int, str]]:
    """Every file and link below `folder`, sorted: path, bytes, and for a link where it leads."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found.append((path.relative_to(folder).as_posix(), 0, str(path.readlink())))
        elif path.is_file():
            found.append((path.relative_to(folder).as_posix(), path.stat().st_size, ""))
    return sorted(found)


def size(folder: Path) -> int:
    """Bytes of all files below `folder`; a file with several names counts once."""
    seen = {
        (s.st_dev, s.st_ino): s.st_size
        for p in folder.rglob("*")
        if p.is_file() and not p.is_symlink()
        for s in [p.stat()]
    }
    return sum(seen.values())


def same_modes(folder: Path) -> None:
    """Give every file and folder the usual rights, whatever the builder's umask was."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def write(folder: Path, target: Path) -> None:
    """The list as text: bytes, path, and an arrow for links."""
    lines = [
        f"{bytes_:>12}  {path}{f' -> {link}' if link else ''}\n" for path, bytes_, link in entries(folder)
    ]
    target.write_text("".join(lines), encoding="utf-8")


def by_part(folder: Path) -> list[tuple[str, int]]:
    """Bytes of every part of the program (a library, or a folder of the program), largest first."""
    sums: dict[str, int] = {}
    for path, bytes_, link in entries(folder):
        if not link:
            inside = path.removeprefix("_internal/")
            part = inside.split("/")[0] if "/" in inside else "single files"
            sums[part] = sums.get(part, 0) + bytes_
    return sorted(sums.items(), key=lambda item: -item[1])
