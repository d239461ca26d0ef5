#!/bin/sh
# An agent for the command back end that sleeps for input.sleep_ms, and reports usage and progress half-way.
set -eu
item=$(cat)
ms=$(printf '%s' "$item" | sed -n 's/.*"sleep_ms": *\([0-9][0-9]*\).*/\1/p')
ms=${ms:-0}
half=$(printf '%d.%03d' "$((ms / 2000))" "$((ms % 2000 / 2))")
sleep "$half"
echo '{"usage": {"tokens": 7}}' >&2
echo '{"progress": "half-way"}' >&2
sleep "$half"
printf '{"slept_ms": %d}\n' "$ms"
