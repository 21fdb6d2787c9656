# edgedeploy on a Jetson with JetPack 6 or later. Build on the board, from the repository's root:
#   docker build -f docker/jetson.Dockerfile --build-arg BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0 -t edgedeploy-jetson .
# BASE is an image with TensorRT and its Python module, for the board's own L4T release.
ARG BASE
FROM ${BASE}

RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*

# TensorRT's Python module belongs to JetPack and is no wheel from an index: the environment must
# see it. It is looked for without importing it, which would need the GPU.
RUN python3 -m venv --system-site-packages /opt/venv \
 && /opt/venv/bin/python -c 'import sys; from importlib.util import find_spec; \
sys.exit(None if find_spec("tensorrt") else "the base image has no Python module tensorrt: take one of JetPack 6 or later")'
ENV PATH=/opt/venv/bin:$PATH

WORKDIR /opt/edgedeploy
COPY pyproject.toml README.md LICENSE ./
COPY edgedeploy ./edgedeploy
RUN pip install --no-cache-dir . \
 && useradd --create-home --groups video edgedeploy \
 && mkdir /data \
 && chown edgedeploy /data

USER edgedeploy
WORKDIR /data
ENTRYPOINT ["edgedeploy"]
CMD ["--help"]
