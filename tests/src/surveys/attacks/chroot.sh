/bin/probe escape "$1"
