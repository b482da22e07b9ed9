# The exact version of the base is pinned; a registry that serves it by digest can pin that as well:
# docker build --build-arg BASE=python:3.13.9-slim-bookworm@sha256:... .
ARG BASE=python:3.13.9-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
# The locks change less often than the source, so what they install is cached.
COPY requirements-dev.lock ./
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-dev.lock
COPY requirements.lock ./
RUN python -m venv /opt/recsvc \
    && /opt/recsvc/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY recsvc recsvc
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/recsvc/bin/pip install --no-deps --no-index /dist/*.whl

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /srv/recsvc --create-home recsvc \
    && install --directory --owner recsvc --group recsvc /srv/recsvc/data /srv/recsvc/models
COPY --from=build /opt/recsvc /opt/recsvc
ENV PATH=/opt/recsvc/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RECSVC_DATA_DIR=/srv/recsvc/data \
    RECSVC_MODELS_DIR=/srv/recsvc/models
USER recsvc
WORKDIR /srv/recsvc
VOLUME ["/srv/recsvc/data", "/srv/recsvc/models"]
# The API, and /metrics. The same image trains: docker run --no-healthcheck IMAGE worker.
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "\
import os, urllib.request; \
urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"RECSVC_PORT\", 8000)}/healthz', timeout=2)"]
ENTRYPOINT ["recsvc"]
CMD ["serve", "--host", "0.0.0.0"]
