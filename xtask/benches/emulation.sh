#!/usr/bin/env bash
# Builds the backend's images for the other CPU twice, without any cache: as they are, with everything done on the CPU of this
# machine, and with their build stage under emulation. Prints both times and their ratio.
#
#   eval "$(cargo xtask sandbox env)"   # or a Docker Engine of your own, with emulation
#   xtask/benches/emulation.sh [demo] [native]
#
# A build that takes more than LIMIT seconds (900) is broken off, and counts as that long.
set -euo pipefail
cd "$(dirname "$0")/../../backend"

case "$(docker version --format '{{.Server.Arch}}')" in
    amd64) other=arm64 ;;
    *) other=amd64 ;;
esac
base=${PYTHON_BASE:-$(docker images --format '{{.Repository}}:{{.Tag}}' | grep '/sandbox/python:' | head -n 1 || true)}
base=${base:-python:3.13-slim}
bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seconds() { # Dockerfile
    local start=$EPOCHREALTIME
    timeout "${LIMIT:-900}" docker buildx build --quiet --no-cache --platform "linux/$other" --build-arg "PYTHON_BASE=$base" \
        --build-arg "TARGETPLATFORM=linux/$other" --build-arg "TARGETARCH=$other" --secret "id=ca,src=$bundle" \
        --file "$1" --output type=cacheonly . > /dev/null || [ $? -eq 124 ]
    awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'
}

printf '%-8s %12s %12s %8s\n' image 'this CPU' emulated ratio
for image in "${@:-demo native}"; do
    for name in $image; do
        # The base images are there before the clock runs.
        sed 's/--platform=$BUILDPLATFORM/--platform=$TARGETPLATFORM/' "Dockerfile.$name" > "$work/Dockerfile.$name"
        native=$(seconds "Dockerfile.$name")
        emulated=$(seconds "$work/Dockerfile.$name")
        printf '%-8s %10s s %10s s %7sx\n' "$name" "$native" "$emulated" \
            "$(awk -v a="$emulated" -v b="$native" 'BEGIN { printf "%.1f", a / b }')"
    done
done
