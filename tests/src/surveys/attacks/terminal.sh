/bin/probe type "$1"
