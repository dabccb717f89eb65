import subprocess

subprocess.run(["ls", "/no/such/folder"], check=True)
