1 A run of Mendel owns this folder while its process lives.\nhost 
5000 a
1 \npid -1\ncommand 
5000 b
