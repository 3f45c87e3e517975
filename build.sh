#!/usr/bin/env bash
# Build the image and run it.
#
#     ./build.sh              build and run; WORKERS, CHATROOM_… and DJANGO_… variables reach the container
#     ./build.sh --no-run     build only
#     ./build.sh --help       print this
#
# IMAGE (default: chatroom) names the image, PORT (default: 9090) is the port to publish.
set -euo pipefail
cd "$(dirname "$0")"

IMAGE=${IMAGE:-chatroom}
PORT=${PORT:-9090}

case $* in
    "" | --no-run) ;;
    -h | --help)
        sed -n '2,/^set/ s/^# \{0,1\}//p' build.sh
        exit 0
        ;;
    *)
        echo "build.sh: unknown arguments: $*; the only options are --no-run and --help" >&2
        exit 2
        ;;
esac

if ! command -v docker > /dev/null; then
    echo "build.sh: Docker is not installed" >&2
    exit 1
fi

if ! docker info > /dev/null 2>&1; then
    echo "build.sh: cannot connect to the Docker daemon; is it running, and may this user access it?" >&2
    exit 1
fi

docker build --tag "$IMAGE" .
if [ "${1:-}" = "--no-run" ]; then
    echo "Built $IMAGE. Run it with: docker run --rm --init --publish $PORT:9090 $IMAGE"
    exit 0
fi
settings=()
for name in $(compgen -e | grep -E '^(CHATROOM_|DJANGO_|WORKERS$)'); do
    settings+=(--env "$name")
done
echo "Serving on http://localhost:$PORT (press Ctrl-C to stop)"
exec docker run --rm --init --publish "$PORT:9090" ${settings[@]+"${settings[@]}"} "$IMAGE"
