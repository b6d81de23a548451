mkdir /tmp/mnt
mount -t tmpfs none /tmp/mnt || exit
mknod /tmp/mnt/disk b "$1" "$2" || exit
mount -t ext4 /tmp/mnt/disk /tmp/mnt
cat /tmp/mnt/secret
