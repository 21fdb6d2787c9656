# What travels to a board, on a Jetson with JetPack 4 (Python 3.6, TensorRT 8.2): it builds engines
# from source.onnx, runs and measures them. The toolkit itself needs Python 3.10 and stays on the
# workstation. Build on the board, from the repository's root:
#   docker build -f docker/jetson-jp4.Dockerfile -t edgedeploy-jp4 .
# There is one image for all of L4T 32.7 (JetPack 4.6.1 to 4.6.6). It has neither CUDA nor TensorRT:
# docker run --runtime nvidia shows it those of the board, so they cannot be looked for here.
ARG BASE=nvcr.io/nvidia/l4t-base:r32.7.1
FROM ${BASE}

RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-numpy \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/edgedeploy
COPY edgedeploy/__init__.py ./edgedeploy/
COPY edgedeploy/runtime ./edgedeploy/runtime
COPY edgedeploy/meters ./edgedeploy/meters
COPY edgedeploy/worker ./edgedeploy/worker
RUN useradd --create-home --uid 1000 --groups video edgedeploy \
 && mkdir /data \
 && chown edgedeploy /data

USER 1000
# without LANG Python 3.6 would read text as ASCII
ENV PYTHONPATH=/opt/edgedeploy \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8
WORKDIR /data
# A module to run: edgedeploy.worker reads a job on stdin, edgedeploy.runtime.trt_rebuild builds.
ENTRYPOINT ["python3", "-m"]
CMD ["edgedeploy.runtime.trt_rebuild", "--help"]
