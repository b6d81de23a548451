# Arguments reach the recipes as "$@": interpolated into a command line, their spaces and quotes would be read again.
set positional-arguments

# A check that shows something new fails, and leaves no file behind; INSTA_UPDATE=always accepts what it shows.
export INSTA_UPDATE := env("INSTA_UPDATE", "no")

[private]
@default:
    {{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted

# Run step N: `./just step 4 -- /bin/sh` (as root through sudo where the step needs it)
[group('run')]
[no-cd]
[no-exit-message]
@step N *ARGS:
    exec {{ quote(justfile_directory() / "steps/run") }} "$@"

# Show the system calls of step N that matter: `./just trace 4 -- /bin/true`
[group('run')]
[no-cd]
[no-exit-message]
@trace N *ARGS:
    exec {{ quote(justfile_directory() / "steps/run") }} --trace "$@"

# Run a command in the throw-away VM; a shell without one
[group('run')]
[no-exit-message]
@vm *ARGS:
    case "${1-}" in --program*) ;; *) steps/build "the steps" --release --package 'step*' ;; esac
    steps/build "the programs that check them" --checkers
    exec cargo run --quiet --bin vm -- "$@"

# Make a root filesystem in DIR: busybox, debian, docker-export or host
[group('run')]
[no-cd]
[no-exit-message]
@rootfs KIND='busybox' DIR='rootfs':
    case "$1" in busybox | debian | docker-export | host) ;; *) echo "just: no such KIND of root filesystem: $1; there are busybox, debian, docker-export and host" >&2; exit 125 ;; esac
    exec {{ quote(justfile_directory() / "rootfs-scripts") }}/"$1" "$2"

# Run a registry with sample images until Ctrl-C, on this machine alone; `--room` is for a class
[group('run')]
[no-exit-message]
@registry *ARGS:
    exec setpriv --pdeathsig TERM rootfs-scripts/registry "$@"

# Set up this machine from a kit in DIR, without a network; `./just class --make DIR` makes one
[group('run')]
[no-cd]
[no-exit-message]
@class *ARGS:
    JUST={{ quote(just_executable()) }} exec {{ quote(justfile_directory() / "rootfs-scripts/class") }} "$@"

# Build the book and open it in a browser
[group('run')]
[no-exit-message]
@book:
    steps/build "the book's program" --bin book
    exec cargo run --quiet --bin book -- --open

# Tell which steps run on this machine, and what the others lack
[group('check')]
[no-exit-message]
@doctor: build
    exec cargo run --quiet --bin doctor

# Check steps in the VM: `./just verify 4`, or all of them
[group('check')]
[no-exit-message]
@verify *ARGS: build
    exec cargo run --quiet --bin verify -- "$@"

# Measure the steps beside their peers: `./just bench`, or some rows; `--short`, `--record` for the book
[group('check')]
[no-exit-message]
@bench *ARGS:
    exec tests/bench/run "$@"

# Check everything: formatting, lints, unit tests, all steps in the VM
[group('check')]
[no-exit-message]
@test: build
    exec tests/run

# Look for inputs that break the engine: `./just fuzz layer 600`, or all targets for a minute each
[group('check')]
[no-exit-message]
@fuzz *ARGS:
    exec tests/fuzz/run "$@"

# Check the licences, sources and versions of all dependencies; `--offline` leaves advisories out
[group('check')]
[no-exit-message]
@dependencies *ARGS:
    exec tests/dependencies "$@"

# Show what step N+1 adds to step N
[group('steps')]
[no-exit-message]
@diff N:
    exec steps/diff "$1"

# Carry your uncommitted change of step N through all later steps
[group('steps')]
[no-exit-message]
@ripple N:
    exec steps/ripple "$1"

# Begin step N as an exercise: makes work/stepN, with what to do in TASKS.md
[group('exercise')]
[no-exit-message]
@start N: exercises
    exec cargo run --quiet --bin exercise -- start "$1"

# Check your step N in the VM; `--bin FILE` checks any program, `--from 1` all stages up to N
[group('exercise')]
[no-exit-message]
@check N *ARGS: exercises
    exec cargo run --quiet --bin exercise -- check "$@"

# Check your step N, and again each time that you save a file
[group('exercise')]
[no-exit-message]
@watch N: exercises
    exec cargo run --quiet --bin exercise -- watch "$1"

# Give the next hint of your first task that is not done, or of task K
[group('exercise')]
[no-exit-message]
@hint N *K: exercises
    exec cargo run --quiet --bin exercise -- hint "$@"

# Show, task by task, what the reference has where your step N has something else
[group('exercise')]
[no-exit-message]
@solution N *K: exercises
    exec cargo run --quiet --bin exercise -- solution "$@"

# Move your step N aside, to begin anew
[group('exercise')]
[no-exit-message]
@reset N: exercises
    exec cargo run --quiet --bin exercise -- reset "$1"

# Show what you have done
[group('exercise')]
[no-exit-message]
@progress: exercises
    exec cargo run --quiet --bin exercise -- progress

# Write what you have done to work/report.json and work/report.txt, to hand in
[group('exercise')]
[no-exit-message]
@report: exercises
    exec cargo run --quiet --bin exercise -- report

[private]
[no-exit-message]
@exercises:
    steps/build "what the exercises need" --bin exercise --checkers

# All steps, as they are shipped, and the programs that check them
[private]
[no-exit-message]
@build:
    steps/build "the steps" --release --package 'step*'
    steps/build "the programs that check them" --checkers
