#!/usr/bin/env bash
# The fault bench: whole collectors with kernel programs against backends that are refused, hung, killed, lying or gone, and
# killed themselves; then the table of what became of the spans. `--write` puts the table into docs/faults.md. Some 15 minutes.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

PATH=$PWD/node_modules/.bin:$PATH
bash scripts/build.sh
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
status=0
FDSPAN_FAULT_ROWS=$rows node --test --test-timeout=1200000 --test-concurrency=1 --test-reporter=./scripts/reporter.ts \
  test/faults/*.test.ts || status=$?
node scripts/fault-table.ts "$rows" "$@"
exit "$status"
