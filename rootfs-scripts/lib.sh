# What the scripts in this folder share. Sourced, not run.

program=$(basename "$0")
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$checkout/.cache
# System programs (useradd, mkfs.ext4 …) are not on an ordinary user's PATH in Debian.
PATH=$PATH:/usr/sbin:/sbin

# fail TEXT: ends the script with one line that names cause and cure.
fail() {
    echo "$program: $*" >&2
    exit 125
}

# need COMMAND:PACKAGE…: installs the Debian packages of the commands (or files) that are missing. As root at once, as an
# ordinary user through sudo, if that can ask for the password; elsewhere the line names what to type.
need() {
    local pair commands=() packages=()
    for pair; do
        if ! command -v "${pair%%:*}" >/dev/null && [ ! -e "${pair%%:*}" ]; then
            commands+=("${pair%%:*}")
            packages+=("${pair#*:}")
        fi
    done
    [ ${#packages[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "missing on this machine: ${commands[*]} (Debian's packages: ${packages[*]})"

    local install="apt-get install -y --no-install-recommends ${packages[*]}" sudo=
    if [ "$(id -u)" != 0 ]; then
        # Without a password to ask for, as on CI's machines, or with a terminal to ask for it.
        if ! { sudo -n true || { command -v sudo && true </dev/tty; }; } >/dev/null 2>&1; then
            fail "missing: ${commands[*]}; install with: sudo $install"
        fi
        sudo=sudo
    fi
    echo "$program: installing ${packages[*]} ($sudo${sudo:+ }apt-get)" >&2
    # The lists of packages may be missing or older than the mirror: the second try has new ones. Another script of ours, or
    # the machine's daily update, may be installing: apt-get waits for it.
    local patient="$sudo $install -o DPkg::Lock::Timeout=300"
    $patient >/dev/null 2>&1 </dev/null || { $sudo apt-get update && $patient; } >/dev/null 2>&1 </dev/null ||
        fail "could not install ${packages[*]}; see: $sudo${sudo:+ }$install"
}

# mmdebstrap without root runs dpkg as a user namespace's root, which needs ids for the owners of the files.
need_subordinate_ids() {
    [ "$(id -u)" != 0 ] || return 0
    need newuidmap:uidmap
    grep -q "^$(id -un):" /etc/subuid || fail "$(id -un) has no ids in /etc/subuid; give some with:" \
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)"
}

# new_rootfs DIR: sets `partial`, an empty folder beside DIR to fill; finish_rootfs makes it DIR. However the script
# ends before that, DIR does not come into being.
new_rootfs() {
    target=$(realpath -ms "$1")
    [ ! -e "$target" ] && [ ! -L "$target" ] || fail "$target is there already; remove it first, or name another folder"
    [ -d "$(dirname "$target")" ] || fail "$(dirname "$target"): no such folder"
    [ -w "$(dirname "$target")" ] || fail "$(dirname "$target"): not writable for $(id -un)"

    # Leftovers of a run that was killed. A run that is still at work holds a lock on its folder.
    local old
    for old in "$target".partial-*; do
        [ ! -d "$old" ] || { flock -n 9 && remove "$old"; } 9<"$old" || true
    done
    partial=$(mktemp -d "$target.partial-XXXXXX")
    exec 9<"$partial"
    flock 9
    trap 'remove "$partial"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

finish_rootfs() {
    chmod 755 "$partial"
    mv -T "$partial" "$target" 2>/dev/null || fail "$target: cannot be created, or another run was faster"
    trap - EXIT
    echo "$program: $target is ready ($(du -sh "$target" 2>/dev/null | cut -f1))" >&2
}

# unpack: fills the new root filesystem with the tar archive on standard input. An ordinary user cannot make devices, nor
# give files away.
unpack() {
    if [ "$(id -u)" = 0 ]; then
        tar -x -p --numeric-owner -C "$partial"
    else
        tar -x -p --no-same-owner --exclude='./dev/*' --exclude='dev/*' -C "$partial"
    fi
}

# remove DIR: also what has folders without write permission; never what is mounted below it.
remove() {
    chmod -R u+rwX "$1" 2>/dev/null || true
    rm -rf --one-file-system "$1"
}

# package NAME: prints the path of the Debian package NAME, downloaded into the cache if it is not there. Needs neither
# root nor the system's package lists: apt-get gets a state folder of its own.
package() {
    local deb
    deb=$(find "$cache/deb" -name "$1_*.deb" 2>/dev/null | sort -V | tail -1)
    if [ -z "$deb" ]; then
        command -v apt-get >/dev/null || return 1
        mkdir -p "$cache/deb" || fail "cannot write $cache (made by root? then: sudo chown -R $(id -un) $cache)"
        deb=$(download "$1") || return 1
    fi
    echo "$deb"
}

download() (
    work=$(mktemp -d "$cache/deb/partial-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    mkdir -p archives/partial "$cache/apt/partial"
    get() { apt-get -qq -o APT::Sandbox::User=root -o Dir::Cache="$work" "$@" >&2; }
    # First with the system's package lists; if there are none or they are old, with new ones in a folder of our own.
    if ! get download "$1" 2>/dev/null; then
        echo "$program: getting the list of Debian's packages" >&2
        get -o Dir::State::lists="$cache/apt" update 2>/dev/null || true
        get -o Dir::State::lists="$cache/apt" download "$1"
    fi
    mv "$1"_*.deb ..
    find "$cache/deb" -maxdepth 1 -name "$1_*.deb"
)

# Prints where docker-registry is: the Debian package's program, or else the one that is installed. The package is not
# installed: that would start a service of its own, at port 5000.
find_registry() {
    local deb unpacked server=$cache/tools/docker-registry
    if [ ! -x "$server" ] && deb=$(package docker-registry); then
        mkdir -p "$cache/tools"
        unpacked=$(mktemp -d "$cache/tools/new.XXXXXX")
        dpkg-deb -x "$deb" "$unpacked"
        mv "$unpacked/usr/bin/docker-registry" "$server"
        remove "$unpacked"
    fi
    [ -x "$server" ] || server=$(command -v docker-registry) ||
        fail "the Debian package docker-registry cannot be downloaded here, and it is not installed"
    echo "$server"
}
