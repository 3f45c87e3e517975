FROM python:3.13-slim AS build

# The virtual environment is all that the final image gets of what is installed here, so it has no pip of its own.
RUN python -m venv --without-pip /venv
COPY requirements/workers.txt /tmp/requirements.txt
WORKDIR /venv/lib/python3.13/site-packages
# What the server never reads is removed. collectstatic refuses a file that names a missing source map.
RUN pip --python /venv/bin/python install --no-cache-dir --no-compile --require-hashes -r /tmp/requirements.txt \
    && find . -type d '(' -name test -o -name tests -o -name sboms ')' ! -path ./django/test -prune -exec rm -r '{}' + \
    && find . -type d -path '*/locale/*' ! -name en ! -path '*/locale/en/*' -prune -exec rm -r '{}' + \
    && find . -type f '(' -name '*.map' -o -name '*.po' -o -name '*.pyi' -o -name RECORD -o -name 'redoc.*' ')' -delete \
    && find . -path '*/static/*' '(' -name '*.js' -o -name '*.css' ')' -exec sed -i 's,^/[/*]# sourceMappingURL=.*,,' '{}' + \
    && rm -r autobahn/_flatc autobahn/wamp/gen/schema cbor2 msgpack packaging pydantic/v1 ujson.* \
        django/contrib/admin django/contrib/admindocs django/contrib/gis django/contrib/postgres \
        twisted/conch twisted/mail twisted/names twisted/pair twisted/positioning twisted/trial twisted/words \
    && find /venv/bin -type f ! -name daphne ! -name nats-server -delete

ENV PATH=/venv/bin:$PATH \
    PYTHONPYCACHEPREFIX=/srv/bytecode \
    DJANGO_STATIC_ROOT=/srv/static
WORKDIR /app
COPY manage.py ./
COPY chatroom_project/ chatroom_project/
COPY pubsub/ pubsub/
COPY deploy/workers/ deploy/workers/
# Whatever the modes in the checkout, the server's user can read the files. The imports fill PYTHONPYCACHEPREFIX with the
# bytecode of all that the server imports, the standard library included, since the container cannot write there.
RUN chmod -R u=rwX,go=rX /app \
    && python manage.py collectstatic --noinput \
    && find /srv/static/ninja -type f ! -name '*.????????????.*' -delete \
    && python -c "import daphne.cli, chatroom_project.asgi, chatroom_project.urls, nats, supervisor.supervisord"


FROM python:3.13-slim

ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/srv/bytecode \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=9090 \
    WORKERS=1 \
    DJANGO_STATIC_ROOT=/srv/static

COPY --from=build /venv /venv
COPY --from=build /srv/bytecode /srv/bytecode
COPY --from=build /srv/static /srv/static
COPY --from=build /app /app
WORKDIR /app

LABEL org.opencontainers.image.title="chatroom" \
      org.opencontainers.image.description="In-memory publish/subscribe chat rooms over WebSockets, on Django, Channels and Daphne" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"

# A number lets an orchestrator verify that the user is not root.
USER 10001:10001
EXPOSE 9090

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as request; request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/livez', timeout=2)"]

# With exec, Daphne itself receives SIGTERM and can close every connection with 3001; or supervisord, which passes it on.
CMD ["sh", "-c", "[ \"${WORKERS:-1}\" = 1 ] || exec python deploy/workers/start.py; exec daphne -b \"$HOST\" -p \"$PORT\" chatroom_project.asgi:application"]
