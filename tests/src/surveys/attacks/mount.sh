mkdir /tmp/mnt
mount -t tmpfs none /tmp/mnt
echo there
read -r line
