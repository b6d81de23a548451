/bin/probe hold 96
