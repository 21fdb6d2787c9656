# edgedeploy on a PC or server with an NVIDIA GPU. Build from the repository's root:
#   docker build -f docker/x86-trt.Dockerfile -t edgedeploy-trt .
# BASE is an image with TensorRT and its Python module: 25.08 has TensorRT 10.13 and CUDA 13, which
# needs a driver of branch 580 or newer.
ARG BASE=nvcr.io/nvidia/tensorrt:25.08-py3
FROM ${BASE}

RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*

# The environment must see the image's TensorRT: pip would fetch another one, of several GB.
RUN python3 -m venv --system-site-packages /opt/venv \
 && /opt/venv/bin/python -c 'import sys; from importlib.util import find_spec; \
sys.exit(None if find_spec("tensorrt") else "the base image has no Python module tensorrt: take an nvidia/tensorrt image")'
ENV PATH=/opt/venv/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /opt/edgedeploy
COPY pyproject.toml README.md LICENSE ./
COPY edgedeploy ./edgedeploy
RUN pip install .
# the image's first user may have taken 1000
RUN useradd --create-home --uid 1001 --groups video edgedeploy \
 && mkdir /data \
 && chown edgedeploy /data

USER 1001
# Any user may run it: --user "$(id -u):$(id -g)" makes the results yours.
ENV HOME=/tmp
WORKDIR /data
ENTRYPOINT ["edgedeploy"]
CMD ["--help"]
