package main

func main() {
	rows := []int{1, 2, 3}
	n := 5
	println(rows[n])
}
