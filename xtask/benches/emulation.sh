#!/usr/bin/env bash
# Builds the backend's images for the other CPU twice: as they are, with everything done on the CPU of this machine, and with
# their build stage under emulation. Prints both times and their ratio, side by side.
#
#   eval "$(cargo xtask sandbox env)"   # or a Docker Engine of your own, with emulation
#   xtask/benches/emulation.sh [demo] [pip] [lock] [lock-pip] [native] [compile]
#
#   demo      the wheels of Flask, NumPy and OpenCV, installed by uv; without any cache
#   pip       the same, and on the other side the Dockerfile's own emulated stage, where pip installs them
#   lock      the same wheels after a change of their list: uv is in the cache, on both sides
#   lock-pip  the same, and on the other side pip, which the base image has
#   native    the C program, its compiler fetched first; without any cache
#   compile   the C program after a change of its source: the compiler is in the cache, on both sides
#
# A build that takes more than LIMIT seconds (900) is broken off, and counts as that long; one that fails ends this.
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
cp -R . "$work/backend"
cd "$work/backend"

build() { # Dockerfile, more words
    local file=$1
    shift
    timeout "${LIMIT:-900}" docker buildx build --progress=plain --platform "linux/$other" --build-arg "PYTHON_BASE=$base" \
        --build-arg "TARGETPLATFORM=linux/$other" --build-arg "TARGETARCH=$other" --secret "id=ca,src=$bundle" \
        --file "$file" --output type=cacheonly "$@" . > "$work/log" 2>&1
}

# Sets `took`. Not in a subshell: there `set -e` would not hold.
clock() { # Dockerfile, more words
    local start=$EPOCHREALTIME code=0
    build "$@" || code=$?
    took=$(awk -v from="$start" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }')
    if [ "$code" -ne 0 ] && [ "$code" -ne 124 ]; then
        tail -n 20 "$work/log" >&2
        echo "error: the build of $1 failed" >&2
        exit 1
    fi
}

emulated() { # name: the same Dockerfile with its build stage on the target's CPU
    sed 's/--platform=$BUILDPLATFORM/--platform=$TARGETPLATFORM/' "Dockerfile.$1" > "$work/Dockerfile.$1"
}

tools() { # Dockerfile, folder: what is done before the first file of the folder is looked at
    sed "/^COPY $2\\//,\$d" "$1" > "$work/tools"
    build "$work/tools"
}

# Both base images are there before the first clock runs.
printf 'ARG PYTHON_BASE\nFROM --platform=$BUILDPLATFORM ${PYTHON_BASE} AS one\nFROM ${PYTHON_BASE}\nCOPY --from=one /etc/passwd /\nRUN true\n' \
    > "$work/Dockerfile.base"
clock "$work/Dockerfile.base" --no-cache

printf '%-9s %12s %12s %8s\n' image 'this CPU' emulated ratio
[ $# -gt 0 ] || set -- demo pip lock lock-pip native compile
for row in "$@"; do
    case "$row" in
        demo | native)
            emulated "$row"
            clock "Dockerfile.$row" --no-cache && here=$took
            clock "$work/Dockerfile.$row" --no-cache
            ;;
        pip)
            clock Dockerfile.demo --no-cache && here=$took
            clock Dockerfile.demo --no-cache --build-arg PACKAGES=sources
            ;;
        lock | lock-pip)
            emulated demo
            tools Dockerfile.demo demo
            [ "$row" = lock ] && tools "$work/Dockerfile.demo" demo
            printf '# %s\n' "$EPOCHREALTIME" >> demo/requirements.lock
            clock Dockerfile.demo && here=$took
            if [ "$row" = lock ]; then
                clock "$work/Dockerfile.demo"
            else
                clock Dockerfile.demo --build-arg PACKAGES=sources
            fi
            ;;
        compile)
            emulated native
            tools Dockerfile.native native
            tools "$work/Dockerfile.native" native
            printf '\n/* %s */\n' "$EPOCHREALTIME" >> native/server.c
            clock Dockerfile.native && here=$took
            clock "$work/Dockerfile.native"
            ;;
        *)
            echo "error: no row is called $row: demo, pip, lock, lock-pip, native or compile" >&2
            exit 2
            ;;
    esac
    printf '%-9s %10s s %10s s %7sx\n' "$row" "$here" "$took" "$(awk -v a="$took" -v b="$here" 'BEGIN { printf "%.1f", a / b }')"
done
