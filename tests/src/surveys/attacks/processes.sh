/bin/probe fork 24
