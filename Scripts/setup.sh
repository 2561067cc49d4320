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
    # DCMTK, GDCM, OpenJPEG, RE2, SQLite, zlib and cairo are linked; cairo writes in DejaVu; g++ brings the C++ standard library; dcmtk
    # holds the archive and the scanner of the demonstration and the tests; Python only downloads.
    debian g++ libdcmtk-dev libgdcm-dev libopenjp2-7-dev libre2-dev libsqlite3-dev libssl-dev zlib1g-dev \
        libcairo2-dev fonts-dejavu-core dcmtk python3 python3-pip
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

# Makes the Python environment .local/$1 of the packages that Tests/$2 lists.
environment() {
    local venv=.local/$1 list=Tests/$2
    cmp -s "$list" "$venv/requirements.stamp" && return
    say "installing the judges of $list into $venv"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$list"
    cp "$list" "$venv/requirements.stamp"
}

test_judges() {
    # libgl1 and libglib2.0-0 are what OpenCV wants, which rt-utils uses.
    debian dcm2niix orthanc orthanc-dicomweb plastimatch poppler-utils libgdcm-tools openssl python3-venv curl sqlite3 strace libgl1 libglib2.0-0
    environment venv requirements.txt
    environment venv-pydicom2 requirements-pydicom2.txt
}

case "${1:-}" in
    node) node ;;
    demo) node; demo ;;
    test) node; test_judges ;;
    *) echo "usage: Scripts/setup.sh node|demo|test" >&2; exit 64 ;;
esac
say "ready for: $1"
