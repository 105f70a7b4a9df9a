1 === config.yaml\n{}\n=== C-hybrid/winner.json\n{"winner":1,"images":1,"members":[{"id":1,"right":"1","owns":1}],"owner":[1],"ancestors":[{"id":1,"parents":[]}]}\n=== C-hybrid/lineage.jsonl\n
1500000 \n
1 {"id":1,"source":"a"}
