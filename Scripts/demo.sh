#!/usr/bin/env bash
# One real head CT from scanner to archive and back: an archive (DCMTK's dcmqrscp) and the node are started on free ports of
# this machine, the scan is sent as a scanner would, and what the archive holds in the end is shown.
set -euo pipefail
cd "$(dirname "$0")/.."

node=.build/release/medlsam-node
demo=.local/demo
run=$demo/run
patient=DEMO-CRANIUM

say() { printf '\ndemo: %s\n' "$*"; }
fail() {
    printf '\ndemo: %s\n' "$*" >&2
    [ -f $run/node.log ] && tail -n 20 $run/node.log >&2
    exit 1
}

started=()
stop() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
}
trap stop EXIT
trap 'exit 130' INT TERM

free_port() {
    local port
    for port in $(shuf -i 20000-29999 -n 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    fail "no free port"
}

# answers AE_TITLE PORT PID: waits until the peer answers C-ECHO.
answers() {
    local _
    for _ in $(seq 100); do
        echoscu -aec "$1" 127.0.0.1 "$2" 2>/dev/null && return
        kill -0 "$3" 2>/dev/null || break
        sleep 0.2
    done
    fail "$1 does not answer on port $2"
}

rm -rf $run
mkdir -p $run/archive
archive_port=$(free_port)
node_port=$(free_port)

cat > $run/dcmqrscp.cfg <<CFG
NetworkTCPPort  = $archive_port
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ARCHIVE  $run/archive  RW (200, 1024mb)  ANY
AETable END
CFG
cat > $run/node.yaml <<YAML
aeTitle: MEDLSAM
host: 127.0.0.1
port: $node_port
dataDirectory: data
models:
  manifests: ../../../Models
  installed: ../../models
  runtime: ../../openvino
  templates: ../../../Models/templates
completion: {idleSeconds: 2}
destinations:
  - {name: archive, aeTitle: ARCHIVE, host: 127.0.0.1, port: $archive_port}
YAML

say "starting an archive (dcmqrscp, port $archive_port) and the node (port $node_port)"
dcmqrscp -c $run/dcmqrscp.cfg >$run/archive.log 2>&1 &
started+=($!)
answers ARCHIVE "$archive_port" $!
# Progress is logged at debug.
$node serve --config $run/node.yaml --log-level debug >$run/node.log 2>&1 &
started+=($!)
answers MEDLSAM "$node_port" $!

say "sending the scan as a scanner would (storescu)"
.build/release/convert-invesalius $demo/Cranium.inv3 $run/ct
storescu -aec MEDLSAM 127.0.0.1 "$node_port" +sd $run/ct || fail "the node did not take the scan"

say "contouring, on $(nproc) cores"
begun=$SECONDS
state=receiving
while :; do
    read -r _ state _ _ sent waiting _ < <($node jobs list --config $run/node.yaml | sed -n 2p) || state=assembling
    case $state in
        succeeded) [ "$waiting" = 0 ] && [ "$sent" -gt 0 ] && break ;;
        failed | refused | withheld) $node jobs show --config $run/node.yaml 1; fail "the job is $state" ;;
    esac
    stage=$(grep -o 'Job 1: .* %' $run/node.log | tail -n 1 || true)
    [ -t 1 ] && printf '\r%4d s  %s\033[K' $((SECONDS - begun)) "$state${stage:+, ${stage#Job 1: }}"
    sleep 1
done
[ -t 1 ] && printf '\r\033[K'
echo "done in $((SECONDS - begun)) s"

value() { dcmdump -q +P "$1" "$2" | sed 's/^[^[]*\[//; s/\].*//'; }
say "what the archive holds now of patient $patient"
study=$(value StudyInstanceUID $run/ct/CT.0001.dcm)
found=$(findscu -S -aec ARCHIVE 127.0.0.1 "$archive_port" -k QueryRetrieveLevel=SERIES -k "StudyInstanceUID=$study" -k Modality 2>&1)
echo "by C-FIND: series of modality $(grep -ao 'CS \[[A-Z ]*\].*Modality' <<<"$found" | sed 's/CS \[//; s/ *\].*//' | sort | paste -sd ' ')"
for object in $run/archive/*_*; do
    printf '%-9s %s  %s\n' "$(value Modality "$object")" "$(value SeriesDescription "$object")" "$(value SOPInstanceUID "$object")"
done

say "structures"
$node jobs show --config $run/node.yaml 1
cp $run/data/results/1/overlay.png $demo/overlay.png
say "overlay picture: $demo/overlay.png"
