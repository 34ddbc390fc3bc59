#!/usr/bin/env bash
# All cells of the compatibility matrix, the slow ones too: each container runtime that can be had, on this machine and on
# hosts with a booted systemd. FDSPAN_WRITE_COMPATIBILITY=1 writes what was seen to docs/compatibility.md.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

bash scripts/setup.sh --for-tests
PATH=$PWD/node_modules/.bin:$PATH
bash scripts/build.sh
export FDSPAN_TEST_MATRIX=all
exec node --test --test-timeout=240000 --test-reporter=./scripts/reporter.ts test/e2e/matrix.test.ts
