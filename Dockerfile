# syntax=docker/dockerfile:1

FROM python:3.13-slim AS build

# The virtual environment has no pip, so the final image cannot install or build packages.
RUN python -m venv --without-pip /venv
COPY requirements/base.txt /tmp/requirements.txt
RUN pip --python /venv/bin/python install --no-cache-dir --require-hashes -r /tmp/requirements.txt


FROM python:3.13-slim

ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=9090 \
    DJANGO_STATIC_ROOT=/srv/static

COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY chatroom_project/ chatroom_project/
COPY pubsub/ pubsub/
RUN python manage.py collectstatic --noinput

# A number lets an orchestrator verify that the user is not root.
USER 10001:10001
EXPOSE 9090

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as request; request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health', timeout=2)"]

# With exec, Daphne itself receives SIGTERM and can close every connection with 3001.
CMD ["sh", "-c", "exec daphne -b \"$HOST\" -p \"$PORT\" chatroom_project.asgi:application"]
