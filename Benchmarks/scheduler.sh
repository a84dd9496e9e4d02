#!/usr/bin/env bash
# Decisions a second of the scheduler's core alone, 5,000 nodes, in scheduler_perf's named cases.
set -euo pipefail
cd "$(dirname "$0")/.."
export APUS_TARGETS=Scheduler
build=${BUILD_DIR:-.build/scheduler-benchmark}
swift build -c release --build-tests --scratch-path "$build" -Xswiftc -enable-testing
echo "| case | decisions | a second |"
echo "|---|---|---|"
APUS_SCHEDULER_BENCH=1 swift test -c release --skip-build --scratch-path "$build" -Xswiftc -enable-testing \
  --disable-xctest --filter DecisionRates | grep '^|'
