# The image of the proxy: what it needs, at pinned versions, and no more. Nothing in it is written to at run time.
#   docker build --tag progressive-proxy:0.1.0 .
ARG PYTHON=python:3.11.14-slim-bookworm

# hadolint ignore=DL3006
FROM ${PYTHON} AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
COPY proxy proxy
# What builds the wheel is pinned too.
ENV PIP_CONSTRAINT=/build/constraints.txt
# Without a pip of its own; compiled now, since the root can't be written to later.
RUN python3 -m venv --without-pip /opt/progressive-proxy \
    && python3 -m venv /tmp/pip \
    && /tmp/pip/bin/pip --python /opt/progressive-proxy/bin/python install --no-cache-dir --compile '.[aws,objects,shared,traces]'

# hadolint ignore=DL3006
FROM ${PYTHON}
COPY --from=build /opt/progressive-proxy /opt/progressive-proxy
ENV PATH=/opt/progressive-proxy/bin:/usr/local/bin:/usr/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["progressive-proxy"]
CMD ["serve", "--config", "/etc/progressive-proxy/config/config.yaml"]
