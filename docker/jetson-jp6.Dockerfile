# edgedeploy on a Jetson with JetPack 6. Build on the board, from the repository's root:
#   docker build -f docker/jetson-jp6.Dockerfile -t edgedeploy-jp6 .
# BASE is an image with TensorRT and its Python module, for the board's own L4T release: r36.4.0 is
# JetPack 6.1, and has TensorRT 10.3.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
FROM ${BASE}

RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*

# TensorRT's Python module belongs to JetPack and is no wheel from an index: the environment must
# see it. It is looked for without importing it, which would need the GPU.
RUN python3 -m venv --system-site-packages /opt/venv \
 && /opt/venv/bin/python -c 'import sys; from importlib.util import find_spec; \
sys.exit(None if find_spec("tensorrt") else "the base image has no Python module tensorrt: take an l4t-jetpack image")'
ENV PATH=/opt/venv/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /opt/edgedeploy
COPY pyproject.toml README.md LICENSE ./
COPY edgedeploy ./edgedeploy
RUN pip install .
RUN useradd --create-home --uid 1000 --groups video edgedeploy \
 && mkdir /data \
 && chown edgedeploy /data

USER 1000
WORKDIR /data
ENTRYPOINT ["edgedeploy"]
CMD ["--help"]
