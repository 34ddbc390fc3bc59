#!/usr/bin/env bash
# Measures what fdspan costs, against its budgets; --write makes docs/overhead.md of it.
# `npm run bench -- [kernel|collector|options|filters|held|sampling] [--rounds N] [--json] [--write]`
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
bash scripts/setup.sh
bash scripts/build.sh
PATH=$PWD/node_modules/.bin:$PATH
make --no-print-directory -s -C test/bench/programs
exec node test/bench/run.ts "$@"
