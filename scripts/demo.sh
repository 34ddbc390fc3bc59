#!/usr/bin/env bash
# Shows fdspan at work on this machine: a real container, a local viewer, a table of its spans.
# Usage: npm run demo [-- --seconds N] [--runtime runc|crun]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
if [ "$(id -u)" -ne 0 ]; then
  echo 'demo: loading programs into the kernel and starting containers needs root: sudo npm run demo' >&2
  exit 77
fi
bash scripts/setup.sh
bash scripts/build.sh
exec node_modules/.bin/node scripts/demo.ts "$@"
