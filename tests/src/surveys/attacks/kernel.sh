mkdir /tmp/own
mount -t tmpfs none /tmp/own && echo inside > /tmp/own/file && cat /tmp/own/file
umount /tmp/own
