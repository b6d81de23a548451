# Arguments reach the recipes as "$@": interpolated into a command line, their spaces and quotes would be read again.
set positional-arguments

# A check that shows something new fails, and leaves no file behind; INSTA_UPDATE=always accepts what it shows.
export INSTA_UPDATE := env("INSTA_UPDATE", "no")

[private]
@default:
    {{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted

# Run step N, through sudo where it needs root: `./just step 4 -- /bin/sh`
[group('run')]
[no-cd]
[no-exit-message]
@step N *ARGS:
    exec {{ quote(justfile_directory() / "steps/run") }} "$@"

# Show the system calls of step N that matter, each with its chapter: `./just trace 4 -- /bin/true`
[group('run')]
[no-cd]
[no-exit-message]
@trace N *ARGS:
    exec {{ quote(justfile_directory() / "steps/run") }} --trace "$@"

# Open a root shell in the throw-away VM, or run a command there; `--user ada` is an ordinary user
[group('run')]
[no-exit-message]
@vm *ARGS:
    case "${1-}" in --program*) ;; *) steps/build "the steps" --release --package 'step*' ;; esac
    steps/build "the programs that check them" --checkers
    exec cargo run --quiet --bin vm -- "$@"

# Make a root filesystem in DIR: KIND is busybox, debian, docker-export or host
[group('run')]
[no-cd]
[no-exit-message]
@rootfs KIND='busybox' DIR='rootfs':
    case "$1" in busybox | debian | docker-export | host) ;; *) echo "just: no such KIND of root filesystem: $1; there are busybox, debian, docker-export and host" >&2; exit 125 ;; esac
    exec {{ quote(justfile_directory() / "rootfs-scripts") }}/"$1" "$2"

# Run a registry with sample images until Ctrl-C, on this machine alone; with `--room` a class pulls from it
[group('run')]
[no-exit-message]
@registry *ARGS:
    exec setpriv --pdeathsig TERM rootfs-scripts/registry "$@"

# Set up this machine from a kit in DIR, without a network; `./just class --make DIR` makes a kit
[group('run')]
[no-cd]
[no-exit-message]
@class *ARGS:
    JUST={{ quote(just_executable()) }} exec {{ quote(justfile_directory() / "rootfs-scripts/class") }} "$@"

# Build the book, with all the code in it, and open it in a browser
[group('run')]
[no-exit-message]
@book:
    steps/build "the book's program" --bin book
    exec cargo run --quiet --bin book -- --open

# Try which steps run on this machine, and tell what the others lack
[group('check')]
[no-exit-message]
@doctor: build
    exec cargo run --quiet --bin doctor

# Check a stage in the VM (`4`), a chapter's commands (`chapter4`), a survey (`isolation`), or all; `--help` lists them
[group('check')]
[no-exit-message]
@verify *ARGS: build
    case "${1-}" in mutants) shift && exec cargo run --quiet --bin mutants -- "$@" ;; esac; exec cargo run --quiet --bin verify -- "$@"

# Measure the steps beside other engines, all rows or some; `--short` fails if one is far off
[group('check')]
[no-exit-message]
@bench *ARGS:
    exec tests/bench/run "$@"

# Check everything: formatting, lints, unit tests, the book, all steps and exercises in the VM
[group('check')]
[no-exit-message]
@test *ARGS: build
    exec tests/run "$@"

# Look for inputs that break the engine: `./just fuzz layer 600`, or all targets for a minute each
[group('check')]
[no-exit-message]
@fuzz *ARGS:
    exec tests/fuzz/run "$@"

# Check licences, sources, versions and advisories of all dependencies; `--offline` leaves advisories out
[group('check')]
[no-exit-message]
@dependencies *ARGS:
    exec tests/dependencies "$@"

# Show what step N+1 adds to step N
[group('steps')]
[no-exit-message]
@diff N:
    exec steps/diff "$1"

# Make the skeleton of the next step: `./just new-step "layers that images share"`
[group('steps')]
[no-exit-message]
@new-step IDEA:
    exec steps/new "$1"

# Carry your uncommitted change of step N through all later steps
[group('steps')]
[no-exit-message]
@ripple N:
    exec steps/ripple "$1"

# Begin step N as an exercise: makes work/stepN from the step before, with what to do in TASKS.md
[group('exercise')]
[no-exit-message]
@start N: exercises
    exec cargo run --quiet --bin exercise -- start "$1"

# Grade your step N in the VM; `--bin FILE` takes any program in any language, `--from 1` all stages up to N
[group('exercise')]
[no-exit-message]
@check N *ARGS: exercises
    exec cargo run --quiet --bin exercise -- check "$@"

# Grade your step N, and again each time that you save a file
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

# Move your step N aside, so that you can begin anew; nothing is lost
[group('exercise')]
[no-exit-message]
@reset N: exercises
    exec cargo run --quiet --bin exercise -- reset "$1"

# Show which tasks you have done
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
