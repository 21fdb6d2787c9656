# What travels to a board, on a Jetson with JetPack 5 (Python 3.8, TensorRT 8.5): it builds engines
# from source.onnx, runs and measures them. The toolkit itself needs Python 3.10 and stays on the
# workstation. Build on the board, from the repository's root:
#   docker build -f docker/jetson-jp5.Dockerfile -t edgedeploy-jp5 .
# The image brings CUDA and TensorRT, so its L4T must be the board's: r35.4.1 is JetPack 5.1.2.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r35.4.1
FROM ${BASE}

RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-numpy \
 && rm -rf /var/lib/apt/lists/*
# It is looked for without importing it, which would need the GPU.
RUN python3 -c 'import sys; from importlib.util import find_spec; \
sys.exit(None if find_spec("tensorrt") else "the base image has no Python module tensorrt: take an l4t-jetpack image")'

WORKDIR /opt/edgedeploy
COPY edgedeploy/__init__.py ./edgedeploy/
COPY edgedeploy/runtime ./edgedeploy/runtime
COPY edgedeploy/meters ./edgedeploy/meters
COPY edgedeploy/worker ./edgedeploy/worker
RUN useradd --create-home --uid 1000 --groups video edgedeploy \
 && mkdir /data \
 && chown edgedeploy /data

USER 1000
ENV PYTHONPATH=/opt/edgedeploy \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8
WORKDIR /data
# A module to run: edgedeploy.worker reads a job on stdin, edgedeploy.runtime.trt_rebuild builds.
ENTRYPOINT ["python3", "-m"]
CMD ["edgedeploy.runtime.trt_rebuild", "--help"]
