#!/usr/bin/env bash
# Brings what the node (`node`), its demonstration (`demo`) or its tests (`test`) need, on a bare Debian 12 with Swift.
# Run it as often as you like: what is already there is only looked at.
# Everything but Debian's packages goes into .local/, which git ignores.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'set-up: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else say "needs root for: $*" >&2; exit 77
    fi
}

# Installs the missing ones of the named Debian packages.
debian() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing from Debian: ${missing[*]}"
    as_root apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

node() {
    # DCMTK, GDCM, OpenJPEG, RE2, SQLite and zlib are linked; g++ brings the C++ standard library; dcmtk holds the archive and the
    # scanner of the demonstration and the tests; Python only downloads.
    debian g++ libdcmtk-dev libgdcm-dev libopenjp2-7-dev libre2-dev libsqlite3-dev libssl-dev zlib1g-dev dcmtk python3 python3-pip
    mkdir -p .local
    Scripts/setup-models.sh
}

# The demonstration's head: the package is unpacked, not installed, since small systems leave /usr/share/doc out.
demo() {
    local head=.local/demo/Cranium.inv3
    [ -s "$head" ] && return
    say "fetching the head of Debian's invesalius-examples"
    local folder; folder=$(mktemp -d)
    (cd "$folder" && apt-get -qq download invesalius-examples 2>/dev/null || { as_root apt-get -qq update && apt-get -qq download invesalius-examples; }
     dpkg-deb -x invesalius-examples_*.deb .)
    mkdir -p .local/demo
    mv "$folder/usr/share/doc/invesalius-examples/examples/Cranium.inv3" "$head"
    rm -rf "$folder"
}

test_judges() {
    debian dcm2niix orthanc libgdcm-tools openssl python3-venv curl sqlite3 strace
    local stamp=.local/venv/requirements.stamp
    cmp -s Tests/requirements.txt "$stamp" && return
    say "installing the judges of Tests/requirements.txt into .local/venv"
    [ -x .local/venv/bin/python ] || python3 -m venv .local/venv
    .local/venv/bin/python -m pip install --quiet --requirement Tests/requirements.txt
    cp Tests/requirements.txt "$stamp"
}

case "${1:-}" in
    node) node ;;
    demo) node; demo ;;
    test) node; test_judges ;;
    *) echo "usage: Scripts/setup.sh node|demo|test" >&2; exit 64 ;;
esac
say "ready for: $1"
