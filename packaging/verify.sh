#!/usr/bin/env bash
# The journey of an administrator and of a person without rights, on the packages in dist/: install, start on a
# virtual display, run the Quick tour to the exported model, upgrade, go back, uninstall, list what is left.
#
#     packaging/verify.sh [--dist DIR] [--pictures DIR] [--quick]
#
# Needs root (dpkg, a trial account that is removed again), Debian or Ubuntu, and: xvfb xauth x11-utils imagemagick.
# While a program runs, this checkout is hidden from it by an empty file system. --quick takes one epoch a stage.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
dist="$root/dist"; pictures="$root/docs/images"; quick=no
while [ $# -gt 0 ]; do
    case "$1" in
        --dist) dist=$(realpath "$2"); shift ;;
        --pictures) pictures=$(realpath "$2"); shift ;;
        --quick) quick=yes ;;
        *) sed -n '2,9p' "$0"; exit 2 ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || { echo "Expected root: dpkg installs and removes a package." >&2; exit 2; }
for tool in xvfb-run xwininfo import dpkg-deb unshare runuser python3; do
    command -v "$tool" >/dev/null || { echo "Expected the program $tool; install xvfb xauth x11-utils imagemagick." >&2; exit 2; }
done

user=espalier-trial; other=espalier-other
work=$(mktemp -d /tmp/espalier-verify-XXXX); chmod 755 "$work"
deb=$(ls "$dist"/espalier_*.deb | sort -V | tail -n 1)
archive=$(ls "$dist"/espalier-*-linux-*-cpu.tar.xz | sort -V | tail -n 1)
failures=0

heading() { printf '\n== %s\n' "$1"; }
line() { printf '%-46s %s\n' "$1" "$2"; }
check() { # check WORDS COMMAND…: a line that says yes, or NO and counts
    local words=$1; shift
    if "$@" >"$work/check.log" 2>&1; then line "$words" yes; else line "$words" NO; sed 's/^/    /' "$work/check.log" | tail -n 5; failures=$((failures + 1)); fi
}
limit() { # limit WORDS VALUE MOST UNIT
    if awk "BEGIN {exit !($2 <= $3)}"; then line "$1" "$2 $4 (at most $3)"; else line "$1" "$2 $4: MORE THAN $3"; failures=$((failures + 1)); fi
}
seconds() { local t=$EPOCHREALTIME; "$@" >"$work/timed.log" 2>&1 || { tail -n 20 "$work/timed.log" >&2; return 1; }; awk "BEGIN {printf \"%.1f\", $EPOCHREALTIME - $t}"; }
megabytes() { awk "BEGIN {printf \"%.1f\", $1 / 1000000}"; }
# as USER COMMAND…: in that person's home, with an empty environment, the checkout hidden
as() {
    local who=$1 home; shift; home=$(getent passwd "$who" | cut -d: -f6)
    unshare --mount sh -c 'mount -t tmpfs -o size=1m none "$1"; shift; exec "$@"' sh "$root" \
        runuser -u "$who" -- env -i HOME="$home" USER="$who" LOGNAME="$who" PATH="$home/.local/bin:/usr/bin:/bin" LANG=C.UTF-8 \
        sh -c 'cd "$HOME" && exec "$@"' sh "$@"
}
evict() { # put a folder's files out of the disk cache, and nobody else's
    python3 - "$1" <<'END'
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
END
}
cat >"$work/show.sh" <<'END'
#!/usr/bin/env bash
# show.sh PROGRAM PICTURE: seconds until the window is visible; a picture when PyTorch is loaded
began=$EPOCHREALTIME
"$1" 2>"$HOME/window.log" & pid=$!
for _ in $(seq 1 1500); do
    id=$(xwininfo -root -tree 2>/dev/null | sed -n 's/^ *\(0x[0-9a-f]*\) ".* — Espalier".*/\1/p' | head -n 1)
    [ -n "$id" ] && xwininfo -id "$id" 2>/dev/null | grep -q 'Map State: IsViewable' && break
    sleep 0.02
done
awk "BEGIN {printf \"%.2f\n\", $EPOCHREALTIME - $began}"
[ -z "${2:-}" ] || { sleep 8; import -window root "$2"; }
kill -INT $pid; wait $pid
END
chmod 755 "$work/show.sh"
show() { # show USER PROGRAM [PICTURE]
    as "$1" xvfb-run -a -s '-screen 0 1280x800x24' bash "$work/show.sh" "$2" "${3:-}" | tail -n 1
}
best_of() { for _ in 1 2 3; do show "$1" "$2"; done | sort -n | head -n 1; }
snapshot() { # every path that a package may touch, but not the caches of the system's own tools
    find /opt /usr /etc /var /home -xdev \
        -not -path '/var/lib/dpkg/*' -not -path '/var/log/*' -not -path '/var/cache/*' -not -path '/home/espalier-*' 2>/dev/null | sort
}
clean() {
    dpkg -s espalier >/dev/null 2>&1 && dpkg --purge espalier >/dev/null 2>&1 || true
    for one in $user $other; do id "$one" >/dev/null 2>&1 && userdel -r "$one" >/dev/null 2>&1 || true; done
    mountpoint -q "$work/small" && umount "$work/small" || true
    rm -rf "$work"
}
trap clean EXIT

journey() { # journey NAME COMMAND WINDOW FOLDER: what a person does with the installed program
    local name=$1 command=$2 window=$3 folder=$4
    check "starts, and lists the recipes" as $user "$command" recipes
    line "version" "$(as $user "$command" --version)"
    if as $user xvfb-run -a "$command" doctor >"$work/doctor-$name.txt" 2>/dev/null; then line "espalier doctor" "$(tail -n 1 "$work/doctor-$name.txt")"
    else line "espalier doctor" "NO: $(grep ^bad "$work/doctor-$name.txt" | tr '\n' ';')"; failures=$((failures + 1)); fi
    show $user "$window" >/dev/null
    limit "window visible, warm disk (best of 3)" "$(best_of $user "$window")" 2 s
    evict "$folder"
    limit "window visible, files not in the disk cache" "$(show $user "$window")" 6 s
    show $user "$window" "/home/$user/window.png" >/dev/null
    cp "/home/$user/window.png" "$pictures/installed-$name.png"
    local tour=quick-tour
    if [ $quick = yes ]; then
        sed 's/epochs: [0-9]*/epochs: 1/; s/source: fashion-mnist-sample/&\n  train_images: 512\n  validation_images: 128\n  test_images: 256/' \
            "$folder/_internal/resources/recipes/quick-tour.yaml" >"/home/$user/tour.yaml"; tour=tour.yaml
    fi
    line "Quick tour to the exported model" "$(seconds as $user "$command" run $tour --out "/home/$user/tour-$name") s"
    check "export of its last stage, verified" as $user "$command" export "/home/$user/tour-$name" --stage distilled --out "/home/$user/$name.onnx"
    line "exported model" "$(stat -c %s "/home/$user/$name.onnx") bytes"
    line "verified again" "$(as $user "$command" verify "/home/$user/$name.onnx" --data fashion-mnist-sample 2>/dev/null)"
    check "nothing written into the program's folder" test -z "$(find "$folder" -newer "$work/installed" \( -type f -o -type d \) | head -n 3)"
}

heading "Machine"
line "system" "$(. /etc/os-release; echo "$PRETTY_NAME"), $(uname -m), $(nproc) cores, glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)"
line "date" "$(date -u +%F)"
line "load before (processes waiting)" "$(cut -d" " -f1 /proc/loadavg)"

heading "Files"
check "checksums (sha256sum --check)" sh -c "cd '$dist' && sha256sum --check --quiet SHA256SUMS"
limit "$(basename "$deb")" "$(megabytes "$(stat -c %s "$deb")")" 400 MB
limit "$(basename "$archive")" "$(megabytes "$(stat -c %s "$archive")")" 400 MB

for one in $user $other; do useradd --create-home --shell /bin/bash "$one"; done
snapshot >"$work/before"

heading "The .deb, for the whole machine"
line "dpkg -i" "$(seconds dpkg -i "$deb") s"
touch "$work/installed"; sleep 1
limit "installed (du --apparent-size)" "$(megabytes "$(du -sb /opt/espalier | cut -f1)")" 1100 MB
check "dpkg --verify finds every file as packed" sh -c '[ -z "$(dpkg --verify espalier)" ]'
check "a person cannot write into its folder" sh -c "[ -z \"\$(runuser -u $user -- find /opt/espalier -writable -not -type l)\" ]"
check "notices and licences are inside" sh -c 'test -s /opt/espalier/NOTICES.txt && test -s /opt/espalier/licences/LGPL-3.0.txt'
journey deb /usr/bin/espalier /usr/bin/espalier-window /opt/espalier

heading "Two people at once; other versions; a full disk; a policy"
cat >"$work/small.yaml" <<'END'
espalier: 1
name: Small
data: {source: fashion-mnist-sample, train_images: 256, validation_images: 128, test_images: 200}
sources: [{id: network, settings: {backbone: resnet20}}]
stages: [{id: fp32, kind: train, settings: {training: {epochs: 1}}}]
END
chmod 644 "$work/small.yaml"
as $user espalier run "$work/small.yaml" >"$work/one.log" 2>&1 & first=$!
as $other espalier run "$work/small.yaml" >"$work/two.log" 2>&1 & second=$!
check "the first person's run" wait $first
check "the second person's run at the same time" wait $second
cp -a "/home/$user/tour-deb" "/home/$user/newer"; sed -i 's/"format": 1/"format": 99/' "/home/$user/newer/run.json"
line "a run of a newer version" "$(as $user espalier compare newer 2>&1 | head -n 1 || true)"
mkdir "$work/small"
for size in 16 24; do # the first is too small for the data set, the second fills up in the middle
    mount -t tmpfs -o size=${size}m,mode=1777 none "$work/small"
    line "a disk of $size MB" "$(as $user env ESPALIER_HOME="$work/small/home" espalier run "$work/small.yaml" 2>&1 | grep -v '^\[\|^ \|run folder' | head -n 1 || true)"
    umount "$work/small"
done
mkdir -p /etc/espalier; printf 'downloads: false\ndevice: cpu\n' >/etc/espalier/policy.yaml
line "with a policy, doctor says" "$(as $user espalier doctor 2>/dev/null | grep 'Site policy' | tr -s ' ' || true)"
rm -r /etc/espalier

heading "Removed again"
line "dpkg --purge" "$(seconds dpkg --purge espalier) s"
snapshot >"$work/after"
check "nothing is left outside people's homes" diff "$work/before" "$work/after"
line "left in the home (the person's own data)" "$(cd /home/$user && find . -name .local -prune -printf '%p ' -o -name .config -prune -printf '%p ' -o -path './.cache' -prune -printf '%p ')"
(cd /home/$user && { find .local .config .cache -maxdepth 3 -type d 2>/dev/null || true; } | sed 's/^/    /') # not all are there

heading "The archive, for one person in a fresh home"
userdel -r $user 2>/dev/null; useradd --create-home --shell /bin/bash $user
cp "$archive" "/home/$user/"
find /home/$user | sort >"$work/home-before"
line "tar -xf" "$(seconds as $user tar -xf "$(basename "$archive")") s"
unpacked="/home/$user/$(basename "$archive" .tar.xz)"
program="/home/$user/.local/opt/espalier"
line "./install.sh" "$(seconds as $user "$unpacked/install.sh") s"
touch "$work/installed"; sleep 1
check "menu entry, icon and file type" sh -c "cd /home/$user/.local/share && test -s applications/espalier.desktop && test -s icons/hicolor/scalable/apps/espalier.svg && test -s mime/packages/espalier.xml"
chmod -R a-w "$program/$(cat "$unpacked/VERSION")"
journey archive "/home/$user/.local/bin/espalier" "/home/$user/.local/bin/espalier-window" "$(realpath "$program/current")"
chmod -R u+w "$program/$(cat "$unpacked/VERSION")"
echo 99.0 >"$unpacked/VERSION"
line "upgrade (the same program as version 99.0)" "$(seconds as $user "$unpacked/install.sh") s"
check "the version before is kept, and roll-back takes it" sh -c "as() { :; }; runuser -u $user -- env HOME=/home/$user '$unpacked/install.sh' --rollback && readlink '$program/current' | grep -vx 99.0"
check "it starts after the roll-back" as $user espalier --version
check "./install.sh --uninstall" as $user "$program/install.sh" --uninstall
rm -rf "$unpacked"
find /home/$user | sort >"$work/home-after"
echo "left in the home:"
comm -13 "$work/home-before" "$work/home-after" | sed "s|^/home/$user/||" | awk -F/ 'NF <= 5 {print "    " $0}' | grep -v 'tour-archive/\|/runs/\|/cache/' | head -n 30

heading "Result"
[ $failures = 0 ] && echo "Everything as it should be." || { echo "$failures things are not as they should be."; exit 1; }
