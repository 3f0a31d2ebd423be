package arch_test

import (
	"fmt"

	"github.com/lanewise/lanewise/internal/arch"
)

func Example() {
	m, err := arch.Load("../..")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Path, m.Check("init", "root"))
	// Output: github.com/lanewise/lanewise []
}
