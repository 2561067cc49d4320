#!/usr/bin/env bash
# Gives the networks their weights in .local/models: imports what set-up fetched and what is shipped.
#   import-models.sh [MEDLSAM_NODE]
set -euo pipefail
cd "$(dirname "$0")/.."
node=${1:-.build/release/medlsam-node}
$node model import --if-needed lite-medsam .local/weights/lite_medsam.pth
$node model import --if-needed medlam-hn
$node model import --if-needed segmenter-hn
