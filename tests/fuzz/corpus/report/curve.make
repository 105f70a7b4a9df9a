1 === config.yaml\n{}\n=== B-child1/metrics.jsonl\n
300000 \n
