kill -KILL "$1"
