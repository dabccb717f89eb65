require("fs").readFileSync("/no/such/file");
