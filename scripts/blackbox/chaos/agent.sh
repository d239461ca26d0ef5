#!/bin/sh
# The chaos suite's agent for the command back end: works, votes, fails or refuses as the input tells it to.
set -eu
item=$(cat)
says() { case "$item" in *"\"$1\":$2"* | *"\"$1\": $2"*) true ;; *) false ;; esac; }
if says kind '"review"'; then
    if says flawed true; then
        echo '{"vote": "reject", "rationale": "It is flawed.", "concerns": ["flawed"]}'
    else
        echo '{"vote": "approve", "rationale": "Nothing is wrong with it."}'
    fi
    exit 0
fi
ms=$(printf '%s' "$item" | sed -n 's/.*"sleep_ms": *\([0-9][0-9]*\).*/\1/p')
ms=${ms:-0}
sleep "$(printf '%d.%03d' "$((ms / 1000))" "$((ms % 1000))")"
echo '{"progress": "at work"}' >&2
if says doomed true; then exit 1; fi
if says unfit true; then exit 65; fi
if says flaky true && says attempt 1; then exit 75; fi
echo '{"usage": {"tokens": 7}}' >&2
# Work that reviewers sent back is mended.
if says flawed true && ! says plan '{' && ! says plan '['; then echo '{"flawed": true}'; else echo '{"done": true}'; fi
