1 model.strides=
4000 [
