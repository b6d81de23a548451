mknod /tmp/disk b "$1" "$2" || exit
mkdir /tmp/mnt
mount -t ext4 /tmp/disk /tmp/mnt
cat /tmp/mnt/secret
