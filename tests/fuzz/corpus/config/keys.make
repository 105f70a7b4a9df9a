20000 train.epochs: 1\n
