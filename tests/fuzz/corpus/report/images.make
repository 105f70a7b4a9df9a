1 === config.yaml\n{}\n=== C-hybrid/winner.json\n{"winner":1,"images":200000,"members":[{"id":1,"owns":1,"right":"
200000 1
1 "},{"id":2,"owns":1,"right":"
200000 0
1 "}],"owner":[],"ancestors":[]}
