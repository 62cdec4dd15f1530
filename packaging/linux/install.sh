#!/bin/sh
# Installs Espalier for one person, below the home folder; asks nothing, needs no administrator.
set -eu

usage() {
    cat <<'END'
    ./install.sh                 install, or upgrade; the version before is kept
    ./install.sh --prefix DIR    the program's folder (~/.local/opt/espalier unless given)
    ./install.sh --no-menu       without menu entry, icon and file type
    ./install.sh --rollback      back to the version before, if there is one
    ./install.sh --uninstall     remove the program; runs, caches and settings stay
END
}

here=$(cd "$(dirname "$0")" && pwd)
prefix="$HOME/.local/opt/espalier"
action=install
menu=yes
while [ $# -gt 0 ]; do
    case "$1" in
        --prefix) [ $# -gt 1 ] || { echo "Expected a folder after --prefix." >&2; exit 2; }
                  prefix=$2; shift ;;
        --no-menu) menu=no ;;
        --rollback) action=rollback ;;
        --uninstall) action=uninstall ;;
        -h|--help) usage; exit 0 ;;
        *) echo "Expected one of the options below, received: $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
case "$prefix" in /*) ;; *) prefix="$PWD/$prefix" ;; esac

bin="$HOME/.local/bin"
share="${XDG_DATA_HOME:-$HOME/.local/share}"
made="$prefix/folders-made"    # folders outside the prefix that were not there before us

fail() { echo "$1" >&2; exit 1; }

# A folder and its parents, as far as they are not there yet.
missing_folders() {
    folder=$1
    while [ ! -d "$folder" ]; do
        echo "$folder"
        folder=$(dirname "$folder")
    done
}

# Make a folder with its parents, and remember those that are new.
make_folder() {
    missing=$(missing_folders "$1")
    mkdir -p "$1" || fail "The folder $1 cannot be made."
    [ -z "$missing" ] || printf '%s\n' "$missing" >> "$made"
}

refresh() {
    if command -v update-desktop-database >/dev/null 2>&1 && [ -d "$share/applications" ]; then
        update-desktop-database -q "$share/applications" || true
    fi
    if command -v update-mime-database >/dev/null 2>&1 && [ -d "$share/mime/packages" ]; then
        update-mime-database "$share/mime" || true
    fi
}

check_machine() {
    [ "$(uname -m)" = "@MACHINE@" ] || fail "This package is for @MACHINE@, this machine is $(uname -m)."
    found=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
    oldest=$(printf '%s\n%s\n' "@GLIBC@" "${found:-0}" | sort -V | head -n 1)
    [ "$oldest" = "@GLIBC@" ] || fail "Espalier needs the C library glibc @GLIBC@ or newer, this system has ${found:-another one}."
    free=$(df -Pk "$1" | awk 'NR == 2 {print $4}')
    [ "$free" -gt "@KILOBYTES@" ] || fail "Espalier needs $((@KILOBYTES@ / 1024)) MB in $1, $((free / 1024)) MB are free there."
}

install_program() {
    version=$(cat "$here/VERSION")
    existing=$prefix
    while [ ! -d "$existing" ]; do existing=$(dirname "$existing"); done
    check_machine "$existing"
    make_folder "$prefix"
    part="$prefix/.part"
    rm -rf "$part"
    trap 'rm -rf "$part"' EXIT
    cp -a "$here/espalier" "$part" || fail "The program could not be copied to $prefix; is the disk or the quota full?"
    before=""
    [ -L "$prefix/current" ] && before=$(readlink "$prefix/current")
    rm -rf "${prefix:?}/$version"
    mv "$part" "$prefix/$version"
    ln -sfn "$version" "$prefix/current"
    if [ -n "$before" ] && [ "$before" != "$version" ]; then
        ln -sfn "$before" "$prefix/previous"
    fi
    remove_older
    cp "$here/install.sh" "$prefix/install.sh"
    make_folder "$bin"
    for name in espalier espalier-window; do ln -sfn "$prefix/current/$name" "$bin/$name"; done
    [ "$menu" = no ] || add_menu
    echo "Espalier $version is installed in $prefix."
    case ":$PATH:" in *":$bin:"*) ;; *) echo "Add $bin to PATH to start it as: espalier" ;; esac
}

# Every version but the current and the one before.
remove_older() {
    for folder in "$prefix"/*/; do
        name=$(basename "$folder")
        [ -L "$prefix/$name" ] && continue
        [ "$name" = "$(readlink "$prefix/current")" ] && continue
        [ -L "$prefix/previous" ] && [ "$name" = "$(readlink "$prefix/previous")" ] && continue
        rm -rf "${prefix:?}/$name"
    done
}

add_menu() {
    make_folder "$share/applications"
    program=$(printf '%s' "$prefix/current/espalier-window" | sed 's/[&|\\]/\\&/g')
    sed "s|@PROGRAM@|$program|" "$here/share/espalier.desktop" > "$share/applications/espalier.desktop"
    make_folder "$share/mime/packages"
    cp "$here/share/espalier.xml" "$share/mime/packages/espalier.xml"
    (cd "$here/share/icons" && find . -type f) | while read -r file; do
        make_folder "$share/icons/hicolor/$(dirname "${file#./}")"
        cp "$here/share/icons/$file" "$share/icons/hicolor/$file"
    done
    refresh
}

rollback() {
    [ -L "$prefix/previous" ] || fail "There is no version before the present one in $prefix."
    before=$(readlink "$prefix/previous")
    now=$(readlink "$prefix/current")
    [ -d "$prefix/$before" ] || fail "The version $before is no longer in $prefix."
    ln -sfn "$before" "$prefix/current"
    ln -sfn "$now" "$prefix/previous"
    echo "Espalier $before is in use again; $now is kept. Runs of a newer version are refused in words, not changed."
}

uninstall() {
    [ -d "$prefix" ] || fail "There is no Espalier in $prefix."
    for name in espalier espalier-window; do
        [ "$(readlink "$bin/$name" 2>/dev/null)" = "$prefix/current/$name" ] && rm "$bin/$name"
    done
    rm -f "$share/applications/espalier.desktop" "$share/mime/packages/espalier.xml"
    find "$share/icons/hicolor" -path '*/apps/espalier.*' -type f -delete 2>/dev/null || true
    folders=""
    [ -f "$made" ] && folders=$(sort -r -u "$made")
    rm -rf "$prefix"
    refresh
    forget_caches "$folders"
    printf '%s\n' "$folders" | while read -r folder; do
        [ -n "$folder" ] && [ -d "$folder" ] && rmdir "$folder" 2>/dev/null || true
    done
    echo "Espalier is removed. Runs and caches stay in $share/Espalier, settings in ${XDG_CONFIG_HOME:-$HOME/.config}/Espalier."
}

# What the desktop's tools wrote for us alone, in folders that were not there before us.
forget_caches() {
    for folder in "$share/mime" "$share/applications"; do
        printf '%s\n' "$1" | grep -qxF "$folder" || continue
        case "$folder" in
            */mime) [ -z "$(ls -A "$folder/packages" 2>/dev/null)" ] && rm -rf "$folder" ;;
            */applications) [ "$(ls -A "$folder")" = mimeinfo.cache ] && rm -f "$folder/mimeinfo.cache" ;;
        esac
    done
    return 0
}

case "$action" in
    install) install_program ;;
    rollback) rollback ;;
    uninstall) uninstall ;;
esac
