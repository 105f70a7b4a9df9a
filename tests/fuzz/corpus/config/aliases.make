1 a: &a [x,x]\n
20000 ? *a\n
