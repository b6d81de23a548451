/bin/probe spin
