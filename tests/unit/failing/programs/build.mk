all:
	@ls /no/such/folder
