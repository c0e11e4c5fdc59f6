# The commands of every day. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run demo test check bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## install everything into .venv (the others do it by themselves)
	@scripts/setup

run: setup ## start the gateway on port 8001 and show the URL for Chatwoot
	@.venv/bin/comporta serve --welcome

demo: setup ## see the whole loop: three emulated Chatwoots, the gateway, a destination
	@.venv/bin/comporta demo

test: setup ## run all tests
	@scripts/servers
	@scripts/test

check: setup ## format, lint, types and import rules
	@scripts/check

bench: setup ## measure the gateway against what one would write by hand
	@scripts/bench

clean: ## remove what setup, tests and tools have made; never ./data
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
