#!/usr/bin/env bash
# All checks and tests, in the order of how soon they can fail. The exit code is that of the worst
# step; every step runs, so that one run tells all. The last line counts the tests of all runs.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

bash scripts/setup.sh --for-tests
PATH=$PWD/node_modules/.bin:$PATH
status=0
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

check() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" </dev/null || {
    printf '== %s: failed\n' "$name"
    status=1
  }
}

# run_tests NAME [FLAG]... : the files of test/NAME; a folder without tests is no error yet.
run_tests() {
  local name=$1
  shift
  local -a files
  mapfile -t files < <(compgen -G "test/$name/*.test.ts" | sort || true)
  [ "${#files[@]}" -gt 0 ] || return 0
  check "$name tests" env "FDSPAN_TEST_RESULTS=$results/$name.json" "FDSPAN_TEST_GROUP=$name" \
    node --test --test-timeout=240000 --test-reporter=./scripts/reporter.ts "$@" "${files[@]}"
  # A runner that died before its report would otherwise count as nothing.
  [ -s "$results/$name.json" ] || status=1
}

check 'build' bash scripts/build.sh
check 'format' npm run --silent format:check
check 'lint' eslint .
check 'types' tsc --noEmit -p tsconfig.test.json
check 'dependency rules' depcruise --config .dependency-cruiser.cjs src
# These wait for answers and for the end of waits more than they compute.
run_tests unit --test-concurrency=3
run_tests property --test-concurrency=2
run_tests integration --test-concurrency=3
# Alone, one file after the other: they trace the whole machine.
run_tests kernel --test-concurrency=1
run_tests e2e --test-concurrency=1

node scripts/test-summary.ts "$results" "$status"
