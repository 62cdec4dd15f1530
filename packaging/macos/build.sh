#!/bin/sh
# The macOS disk image. NOT YET BUILT: no Mac was at hand; every step was checked against the manuals of PyInstaller
# (macOS app bundles), codesign, notarytool and hdiutil.
#
#   python3 dev.py package && packaging/macos/build.sh
#
# Signs with the identity in ESPALIER_IDENTITY ("Developer ID Application: …") and notarises with the keychain profile in
# ESPALIER_NOTARY; without them the image is unsigned and opens only by "Open" in Finder's context menu.
# Unattended: hdiutil attach IMAGE && cp -R "/Volumes/Espalier/Espalier.app" /Applications. Upgrade: the same; roll-back: the
# older image. Uninstall: remove the app; runs stay in ~/Library/Application Support/Espalier. The command line is
# Espalier.app/Contents/MacOS/espalier.
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
app="$here/build/package/cpu/Espalier.app"
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$here/core/__init__.py")
image="$here/dist/espalier-$version-macos-$(uname -m).dmg"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

[ -d "$app" ] || { echo "Expected $app; run python3 dev.py package first." >&2; exit 2; }
cp -R "$here/build/package/cpu/espalier/NOTICES.txt" "$here/build/package/cpu/espalier/licences" "$app/Contents/Resources/"
if [ -n "${ESPALIER_IDENTITY:-}" ]; then
    codesign --force --deep --timestamp --options runtime \
        --entitlements "$here/packaging/macos/entitlements.plist" --sign "$ESPALIER_IDENTITY" "$app"
    codesign --verify --deep --strict "$app"
fi
cp -R "$app" "$stage/Espalier.app"
ln -s /Applications "$stage/Applications"
mkdir -p "$here/dist"
hdiutil create -volname Espalier -srcfolder "$stage" -ov -format ULMO "$image"
if [ -n "${ESPALIER_IDENTITY:-}" ]; then
    codesign --timestamp --sign "$ESPALIER_IDENTITY" "$image"
    if [ -n "${ESPALIER_NOTARY:-}" ]; then
        xcrun notarytool submit "$image" --keychain-profile "$ESPALIER_NOTARY" --wait
        xcrun stapler staple "$image"
    fi
fi
(cd "$here/dist" && shasum -a 256 -- *.dmg > SHA256SUMS)
echo "$image"
