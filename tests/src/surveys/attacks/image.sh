echo changed > /tmp/left
