# edgedeploy on a PC or an Intel box. Build from the repository's root:
#   docker build -f docker/openvino.Dockerfile -t edgedeploy .
FROM python:3.11-slim-bookworm

ARG EXTRAS=openvino
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/edgedeploy
COPY pyproject.toml README.md LICENSE docker/constraints.txt ./
COPY edgedeploy ./edgedeploy
RUN pip install --constraint constraints.txt ".[${EXTRAS}]"
RUN useradd --create-home --uid 1000 edgedeploy \
 && mkdir /data \
 && chown edgedeploy /data

USER 1000
# Any user may run it: --user "$(id -u):$(id -g)" makes the results yours.
ENV HOME=/tmp
WORKDIR /data
ENTRYPOINT ["edgedeploy"]
CMD ["--help"]
