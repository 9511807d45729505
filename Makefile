# make demo: upscale a sample clip to 4K.   make test: all tests.   make lint: ruff and pyright.
# Another build of torch: make demo TORCH_INDEX=URL_OF_A_PIP_INDEX
PYTHON ?= python3
TORCH_INDEX ?=
PIP = .venv/bin/pip install -q --disable-pip-version-check --no-compile -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Bytecode, on all cores, which pip would write on one. Without it, and where PYTHONDONTWRITEBYTECODE is set as in many
# containers, every process compiles torch, diffusers and transformers anew. A few files are meant for other Pythons.
COMPILE = .venv/bin/python -m compileall -q -j 0 .venv realis >/dev/null 2>&1 || true

.PHONY: demo test test-fast lint clean

demo: .venv/.core
	.venv/bin/python infer/upscale.py --target 4k

test: .venv/.dev
	.venv/bin/python -m pytest -n 2 --dist worksteal

test-fast: .venv/.dev
	.venv/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

lint: .venv/.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/.core: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "installing realis into .venv (2 to 3 minutes)"
	$(PIP) -e .
	$(COMPILE)
	touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "installing realis with everything that tests need into .venv (2 to 4 minutes)"
	$(PIP) -e ".[train,data,metrics,image,ui,cluster,dev]"
	$(COMPILE)
	touch $@ .venv/.core

clean:
	rm -rf .venv out build *.egg-info
