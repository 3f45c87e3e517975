#!/usr/bin/env bash
# Build the image and run it, with the CHATROOM_… and DJANGO_… variables of the environment. IMAGE and PORT may be set; `build.sh --no-run` only builds.
set -euo pipefail
cd "$(dirname "$0")"

IMAGE=${IMAGE:-chatroom}
PORT=${PORT:-9090}

if ! command -v docker > /dev/null; then
    echo "build.sh: docker is not installed" >&2
    exit 1
fi

if ! docker info > /dev/null 2>&1; then
    echo "build.sh: docker is installed, but its engine does not answer" >&2
    exit 1
fi

docker build --tag "$IMAGE" .
if [ "${1:-}" = "--no-run" ]; then
    echo "Built $IMAGE. Run it with: docker run --rm -p $PORT:9090 $IMAGE"
    exit 0
fi
settings=()
for name in $(compgen -e | grep -E '^(CHATROOM|DJANGO)_'); do
    settings+=(--env "$name")
done
echo "Serving on http://localhost:$PORT (Ctrl-C stops)"
exec docker run --rm --init --publish "$PORT:9090" ${settings[@]+"${settings[@]}"} "$IMAGE"
