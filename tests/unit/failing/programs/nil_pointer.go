package main

type table struct{ rows int }

func main() {
	var t *table
	println(t.rows)
}
