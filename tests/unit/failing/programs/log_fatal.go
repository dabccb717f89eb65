package main

import (
	"log"
	"os"
)

func main() {
	if _, err := os.Open("/no/such/file"); err != nil {
		log.Fatal(err)
	}
}
