cp /bin/probe /tmp/become-root
chmod 4755 /tmp/become-root
echo there
read -r line
