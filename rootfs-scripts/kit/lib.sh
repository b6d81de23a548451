# What making and using a kit share. Sourced, not run, after ../lib.sh.
# shellcheck shell=bash disable=SC2034,SC2154

program=class
format=1 # of the kit: one more when a script of before can not use a kit of after, or the reverse

# What the workshop uses, and the package that it comes in. A kit has these with all that they depend on.
needed=(cc:build-essential git:git qemu-system-x86_64:qemu-system-x86 newuidmap:uidmap strace:strace zstd:zstd
    skopeo:skopeo umoci:umoci)

[ "$(uname -m)" = x86_64 ] || fail "the workshop is for x86-64 machines only so far; this one is $(uname -m)"

# This machine's distribution, as "debian 12": packages are for one version of one distribution.
distribution() (
    # shellcheck disable=SC1091
    . /etc/os-release
    echo "$ID ${VERSION_ID-testing}"
)

# work_aside: sets `aside`, an empty folder that goes when the script ends; one script of this checkout at a time.
work_aside() {
    mkdir -p "$cache" 2>/dev/null || true
    [ -w "$cache" ] || fail "cannot write $cache (made by root? then: sudo chown -R $(id -un) $cache)"
    exec 8>"$cache/class.lock"
    flock --nonblock 8 || fail "another ./just class is at work in this checkout"
    aside=$cache/class.partial
    remove "$aside" # of one that was killed
    mkdir "$aside"
    trap 'remove "$aside"; [ -z "${partial-}" ] || remove "$partial"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# has_room DIR GIB WHAT_FOR
has_room() {
    [ "$(df --output=avail -B1 "$1" | tail -1)" -ge $(($2 << 30)) ] || fail "$1 needs $2 GiB of room, $3"
}
