# make demo    install, build shipped models for two backends, measure them, print the table
# make test    install, check the code, run the tests
# make zoo     train, export and calibrate the shipped models again (hours on 2 cores; needs CIFAR-10)
# make zoo-all the whole grid, for a machine with a GPU: not run yet
# make models-table  write the table in models/README.md from the files beside it
# make clean   remove what the others made, but for the environment

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# On a Jetson TensorRT belongs to JetPack and is seen through the system's packages.
SITE := $(if $(wildcard /etc/nv_tegra_release),--system-site-packages)
CIFAR10 ?= cifar10-jpeg.zip
DURATION ?= 2
DEMO ?= $(wildcard models/*_112_*.onnx models/*_64_*.onnx)

.PHONY: demo test lint zoo zoo-all models-table clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/edgedeploy build $(DEMO) --backend ort,openvino --fp32 --int8
	$(BIN)/edgedeploy profile --duration $(DURATION)

test: $(VENV)/.test $(VENV)/.tensorrt lint
	$(BIN)/pytest --cov --cov-report=term:skip-covered -q

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin -t=3.6- --no-tips --eval-annotations --violations edgedeploy/__init__.py edgedeploy/runtime edgedeploy/meters edgedeploy/worker

zoo: $(VENV)/.test
	$(BIN)/python benchmarks/zoo.py $(CIFAR10)

zoo-all: $(VENV)/.test
	$(BIN)/python benchmarks/zoo.py $(CIFAR10) --all

models-table: $(VENV)/.test
	$(BIN)/python benchmarks/models_table.py

clean:
	rm -rf build profiles report.md report.html dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$(PYTHON) is older than Python 3.10; run: make $(MAKECMDGOALS) PYTHON=/path/to/python3.10"; exit 1; }
	@$(PYTHON) -m venv $(SITE) $(VENV) || \
	  { rm -rf $(VENV); echo "venv is missing; run: sudo apt-get install python3-venv"; exit 1; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[openvino]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

# NVIDIA's Python bindings of several versions, 100 MB in all, for the tests that look names up in
# them. They exclude each other, so each has a folder. What cannot be had here makes tests skip.
$(VENV)/.tensorrt: tests/runtime/tensorrt_wheels.txt | $(VENV)/.test
	@complete=yes; while read -r name wheels; do [ $(VENV)/tensorrt/$$name -nt $< ] || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 1 --no-deps --upgrade \
	    --target $(VENV)/tensorrt/$$name $$wheels || complete=no; done <$<; \
	if [ $$complete = yes ]; then touch $@; \
	else echo "some of $< could not be downloaded: tests that need them will say so and skip"; fi
