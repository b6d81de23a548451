/bin/probe as 1000 /bin/busybox unshare -U -r /bin/sh -c 'echo there; read -r line'
