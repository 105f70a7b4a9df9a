500 a.png,x\n
