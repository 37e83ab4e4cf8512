# The same image that `func build` makes, for those who have a builder of their own: one image for all functions, the
# variable FUNCTION names the one to serve. deploy/image/README.md says more.
#
#     docker buildx build --build-arg SOURCE_DATE_EPOCH=0 --output type=docker,name=drover:1,rewrite-timestamp=true .
#     buildah build --timestamp 0 -t drover:1 .
#
# The same commit on the same base gives the same layers: name the base by its digest where that matters.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

# --- what is installed: wheels alone, each with its hash from the lock, so that nothing is compiled -------------------
FROM ${BASE} AS build
# PYTHONHASHSEED: the order of a frozenset in bytecode depends on it
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    INSTALL="install --quiet --require-hashes --no-deps --only-binary=:all: --no-compile --no-cache-dir"
WORKDIR /build
COPY requirements.txt deploy/image/requirements-sbom.txt ./
# A mirror of one's own, its password included, comes in by `--secret id=pip,src=pip.conf` and stays in no layer.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv --without-pip /venv && \
    python3 -m pip --python /venv/bin/python $INSTALL -r requirements.txt && \
    python3 -m venv --without-pip sbom && \
    python3 -m pip --python sbom/bin/python $INSTALL -r requirements-sbom.txt
COPY deploy/image/*.py ./
RUN sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o /drover.cdx.json /venv/bin/python && \
    python3 trim.py /venv
COPY func.py Procfile /app/
COPY shared /app/shared
COPY functions /app/functions
RUN PYTHONPATH=/app /venv/bin/python loaded.py /app > loaded.txt && \
    grep -E '^/(venv|app)/' loaded.txt > own.txt && \
    grep -vE '^/(venv|app)/' loaded.txt > stdlib.txt && \
    /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash -i own.txt

# --- what of the base is needed: Python, the libraries it and the wheels are linked to, certificates -----------------
FROM ${BASE} AS root
ENV PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /venv /venv
COPY --from=build /build/stdlib.txt /build/gather.py /build/
RUN python3 -m compileall -q --invalidation-mode unchecked-hash -i /build/stdlib.txt && \
    python3 /build/gather.py /venv /rootfs

# --- the image: no shell, nothing that installs or compiles ----------------------------------------------------------
FROM scratch
COPY --from=root /rootfs /
COPY --from=build /venv /venv
COPY --from=build /drover.cdx.json /usr/share/sbom/drover.cdx.json
COPY --from=build /app /app
# HOME: openstacksdk and others look there for files of the user's; nothing has to be writable
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 1000:1000
EXPOSE 8080
ENTRYPOINT ["python", "-m", "parliament", "."]
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="drover" \
      org.opencontainers.image.description="Knative functions that run the daily operations of OpenStack clouds" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
