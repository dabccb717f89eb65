package main

import (
	"errors"
	"fmt"
)

func main() {
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Errorf("order 7: %v", r))
		}
	}()
	panic(errors.New("connection refused"))
}
