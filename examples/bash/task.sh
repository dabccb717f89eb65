#!/usr/bin/env bash
# A chain of hashes, each the SHA-256 of the one before. All that it needs of LongTask is curl.
set -euo pipefail
trap 'exit 143' TERM # the first process of a container would not hear it otherwise

call() { # METHOD PATH [OPTION OF CURL...]: fails where it is not taken
    [[ -n ${LONGTASK_REPORT_URL-} ]] || return
    curl --silent --show-error --fail --max-time 30 --request "$1" \
        --header @<(printf 'Authorization: Bearer ' && cat "$LONGTASK_TOKEN_FILE") "${@:3}" "$LONGTASK_REPORT_URL$2"
}
surely=(--retry 300 --retry-max-time 300 --retry-connrefused) # for what shall not be lost: the time ends it

rounds=$LONGTASK_PARAM_ROUNDS
state=$(call GET /checkpoint "${surely[@]}" || true) # none: begin anew
read -r round hash <<<"${state:-0 $LONGTASK_PARAM_SEED}"
echo "begins after round $round of $rounds"

while ((round < rounds)); do
    for _ in {1..100}; do
        hash=$(printf %s "$hash" | sha256sum)
        hash=${hash%% *}
    done
    round=$((round + 1))
    echo "round $round of $rounds: $hash"
    call PUT /checkpoint "${surely[@]}" --header 'Content-Type: text/plain' --data "$round $hash" >/dev/null || true
    progress="{\"current\": $round, \"total\": $rounds, \"unit\": \"round\"}"
    call POST /progress --max-time 5 --data "$progress" >/dev/null || true
done

result="{\"summary\": \"$((100 * rounds)) hashes\", \"rounds\": $rounds, \"hash\": \"$hash\"}"
call PUT /result "${surely[@]}" --header 'Content-Type: application/json' --data "$result" >/dev/null ||
    printf %s "$result" >"${LONGTASK_TERMINATION_LOG:-/dev/termination-log}" # where nothing can be reported
