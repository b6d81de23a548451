cat <&7
