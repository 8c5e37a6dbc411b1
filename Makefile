# Every target does the set-up that it needs.
PYTHON := .venv/bin/python
# Where `bench` finds PyTorch and pythae, see CONTRIBUTING.md.
TORCH_PYTHON := $(or $(wildcard .venv-bench/bin/python),$(PYTHON))
# Named after the folder, because a venv breaks when it is moved.
SETUP := .venv/.complete-$(shell pwd | cksum | cut -d ' ' -f 1)
# TensorFlow traces and XLA compiles on one core. The tests of a file share fixtures and folders, so they stay together.
# tests/conftest.py orders the files.
TEST_PROCESSES := 2
UV = $(shell test -x .uv/bin/uv && echo .uv/bin/uv || echo uv)

IMAGE_PLATFORM := x86_64-manylinux_2_39
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# The sources of an image; an uncommitted new file among them changes it, too.
SOURCES = pyproject.toml requirements.lock trainer components pipeline kubeflow ':!kubeflow/deploy/manifests'
CHANGED = $(if $(shell git status --porcelain -- $(SOURCES) 2>/dev/null),-dirty)
REVISION = $(or $(addsuffix $(CHANGED),$(shell git rev-parse HEAD 2>/dev/null)),unknown)
# A schedule keeps its version of the pipeline, which must name an image that also stays: by its revision.
TAG = $(VERSION)-$(shell echo $(REVISION) | sed -E 's/^([0-9a-f]{12})[0-9a-f]*/\1/')
FLAVOR = $(if $(GPU),gpu,$(if $(TPU),tpu))

.PHONY: help setup run test test-containers test-cluster test-beam chaos bench docs check format lock image clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP)  ## Python 3.11 with the locked dependencies, in .venv

$(SETUP): requirements.lock scripts/setup.sh
	@scripts/setup.sh $(SETUP)

run: $(SETUP)  ## the whole pipeline on embedded data, in a few minutes
	@$(PYTHON) -m pipeline run --dataset photo_patches --preset smoke

test: $(SETUP)  ## all tests, in two processes (TEST_PROCESSES=1 for one)
	@$(PYTHON) -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-containers: $(SETUP) image  ## the compiled Kubeflow pipeline in containers; needs Docker Engine, and takes a quarter of an hour
	@VAEIAF_IMAGE=vaeiaf:$(VERSION) $(PYTHON) -m pytest tests/containers

test-cluster: $(SETUP)  ## check a real cluster with CLUSTER=cluster.yaml, in an hour or two; see docs/howto/check-cluster.md
	@test -f "$(CLUSTER)" || { echo "make test-cluster: CLUSTER=$(CLUSTER) is no file: give CLUSTER=cluster.yaml" >&2; exit 2; }
	@VAEIAF_CLUSTER=$(CLUSTER) VAEIAF_HOST=$(HOST) VAEIAF_UI=$(UI) VAEIAF_MANIFESTS=$(MANIFESTS) \
		$(PYTHON) -m pytest tests/cluster --verbose --durations=0

test-beam: $(SETUP)  ## the pipeline on Prism, Beam's runner in Go, which Go builds the first time; ten minutes
	@VAEIAF_BUILD_PRISM=1 $(PYTHON) -m pytest tests/pipeline/beam/test_prism.py

chaos: $(SETUP)  ## kill, damage and disturb runs, in about an hour on two cores; CHAOS="--seed 7 --only kills" for a part
	@$(PYTHON) -m tests.chaos $(CHAOS)

bench: $(SETUP)  ## measure speed and memory, in about a quarter of an hour; writes bench.json
	@$(PYTHON) -m tests.bench --torch-python $(TORCH_PYTHON)

docs: $(SETUP)  ## build the documents into site/, with reference pages from the code
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --quiet --strict
	@echo site/index.html

check: $(SETUP)  ## lint, format, types and import rules
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

format: $(SETUP)  ## format the sources and fix what lint can fix
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

LOCK = $(UV) pip compile --generate-hashes --upgrade --quiet --no-header --no-emit-index-url --python-version 3.11

# The CUDA wheels and the TPU image have separate locks: see kubeflow/deploy/Dockerfile.
lock: $(SETUP)  ## renew requirements.lock, kubeflow/deploy/gpu.lock and kubeflow/deploy/tpu.lock from pyproject.toml
	@$(LOCK) --universal --group build --group test --group docs --group lint --group types \
		--output-file requirements.lock pyproject.toml
	@pins=$$($(LOCK) --python-platform $(IMAGE_PLATFORM) --group gpu --constraint requirements.lock) && \
		printf '%s\n' "$$pins" | awk '/^[^ ]/ {cuda = /^nvidia-/} cuda' > kubeflow/deploy/gpu.lock
	@$(LOCK) --python-platform $(IMAGE_PLATFORM) --group tpu --output-file kubeflow/deploy/tpu.lock

image:  ## build the container image vaeiaf:VERSION, also named VERSION-REVISION; GPU=1 or TPU=1 adds -gpu or -tpu
	docker build --file kubeflow/deploy/Dockerfile $(FLAVOR:%=--build-arg FLAVOR=%) \
		--tag vaeiaf:$(VERSION)$(FLAVOR:%=-%) --tag vaeiaf:$(TAG)$(FLAVOR:%=-%) \
		$(BASE:%=--build-arg BASE=%) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) $(DOCKER_ARGS) .

clean:  ## remove everything that set-up made
	rm -rf .venv .venv-bench .uv
