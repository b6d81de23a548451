# What the scripts in this folder share. Sourced, not run: from the checkout, with `work` naming an empty folder.
# shellcheck shell=bash disable=SC2154

passed=0 failed=0 skipped=0

# check WHAT COMMAND…: the command has to succeed.
check() {
    if "${@:2}" >"$work/said" 2>&1; then
        ((passed += 1))
    else
        ((failed += 1))
        echo "FAILED: $1"
        sed 's/^/    /' "$work/said"
    fi
}

# skip HOW_MANY WHY
skip() {
    ((skipped += $1))
    echo "skipped: $2"
}

not() { ! "$@"; }

# within SECONDS COMMAND…: whether the command succeeds before long.
within() {
    local end=$((SECONDS + $1))
    until "${@:2}"; do
        ((SECONDS < end)) || return
        sleep 0.1
    done
}

# build_step N: builds the step and copies its program to $work/stepN.
build_step() {
    local program
    program=$(steps/build "step$1" --release --package 'step*' --bin "step$1" --message-format json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    install "$program" "$work/step$1"
}

# summary: the last line, and the status.
summary() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}
