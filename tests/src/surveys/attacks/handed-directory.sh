[ -e /proc/self ] || mount -t proc proc /proc
cat "/proc/self/fd/0$1"
