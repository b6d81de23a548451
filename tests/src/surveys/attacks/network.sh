/bin/probe connect "127.0.0.1:$1"
/bin/probe connect "@$2"
